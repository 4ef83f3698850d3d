"use strict";
(() => {
  const SHOWN = 24;
  const FOUND = 200;
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Theme: the system's, until the reader chooses. Storage may be forbidden for local files.
  const root = document.documentElement;
  const stored = () => { try { return localStorage.getItem("lexivid-theme"); } catch { return null; } };
  if (stored()) root.dataset.theme = stored();
  const theme = $(".theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("lexivid-theme", root.dataset.theme); } catch { /* lasts for this visit */ }
  });

  // A still, large.
  const box = $(".box");
  for (const still of $$(".still")) {
    still.addEventListener("click", () => {
      const picture = $("img", still);
      $("img", box).src = picture.src;
      $("img", box).alt = picture.alt;
      $("p", box).textContent = still.dataset.caption;
      box.showModal();
    });
  }
  box.addEventListener("click", event => { if (event.target === box) box.close(); });

  const tip = $(".tip");
  // Below what is pointed at, so that the strip stays in sight; above it for a finger, or where the window ends.
  function showTip(x, bounds, finger, name, text) {
    const b = document.createElement("b");
    b.textContent = name;
    tip.replaceChildren(b, document.createElement("br"), text);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(x - width / 2, innerWidth - width - 8));
    const above = finger || bounds.bottom + height + 16 > innerHeight;
    const top = above ? bounds.top - height - 8 : bounds.bottom + 8;
    tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  for (const plot of $$(".plot")) {
    const columns = JSON.parse(plot.dataset.columns);
    const rest = JSON.parse(plot.dataset.rest);
    const list = $(".rows", plot);
    const rows = $$(".row", list);
    const cursor = $(".cursor", plot);
    const stills = $$(".strip .still", plot);
    const tools = plot.previousElementSibling;
    const search = $("input", tools);
    const sort = $("select", tools);
    const more = $(".more", plot);
    const empty = $(".empty", plot);

    // Pointing: one cell, its time, its probability, and the frame above it.
    function point(lane, column, x, finger = false) {
      const [left, right, when] = columns[column];
      const peak = lane.dataset.peaks.split(" ")[column];
      const middle = (left + right) / 2;
      const text = `${when} · ${(peak / 1000).toFixed(2)}`;
      const bounds = lane.getBoundingClientRect();
      cursor.style.left = `${middle}%`;
      cursor.hidden = false;
      showTip(x ?? bounds.left + bounds.width * middle / 100, bounds, finger, lane.parentElement.dataset.name, text);
      let edge = 0;
      const total = stills.reduce((sum, still) => sum + +still.style.flexGrow, 0);
      for (const still of stills) {
        const end = edge + 100 * still.style.flexGrow / total;
        still.classList.toggle("near", edge <= middle && middle < end);
        edge = end;
      }
      lane.dataset.column = column;
      lane.setAttribute("aria-valuenow", column + 1);
      lane.setAttribute("aria-valuetext", text);
    }
    function leave() {
      tip.hidden = cursor.hidden = true;
      for (const still of stills) still.classList.remove("near");
    }
    function columnAt(lane, x) {
      const bounds = lane.getBoundingClientRect();
      const percent = 100 * (x - bounds.left) / bounds.width;
      const column = columns.findIndex(([, right]) => percent < right);
      return column < 0 ? columns.length - 1 : column;
    }
    for (const row of rows) {
      const lane = $(".lane", row);
      if (!lane.dataset.peaks) continue;
      // With arrow keys a screen reader walks through the windows.
      lane.tabIndex = 0;
      lane.setAttribute("role", "slider");
      lane.setAttribute("aria-readonly", "true");
      lane.setAttribute("aria-valuemin", 1);
      lane.setAttribute("aria-valuemax", columns.length);
      lane.setAttribute("aria-valuenow", 1);
      lane.addEventListener("keydown", event => {
        const now = +(lane.dataset.column ?? 0);
        const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: columns.length - 1 }[event.key];
        if (event.key === "Escape") leave();
        if (to === undefined) return;
        event.preventDefault();
        point(lane, Math.max(0, Math.min(to, columns.length - 1)));
      });
      lane.addEventListener("focus", () => { if (lane.matches(":focus-visible")) point(lane, +(lane.dataset.column ?? 0)); });
      lane.addEventListener("blur", leave);
      for (const type of ["pointerdown", "pointermove"]) {
        lane.addEventListener(type, event =>
          point(lane, columnAt(lane, event.clientX), event.clientX, event.pointerType === "touch"));
      }
      lane.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") leave(); });
    }
    document.addEventListener("pointerdown", event => { if (!event.target.closest(".lane")) leave(); });

    // Finding, sorting, and showing the best first.
    let all = false;
    const collator = new Intl.Collator(undefined, { numeric: true });
    const orders = {
      probability: (a, b) => a.dataset.index - b.dataset.index,
      name: (a, b) => collator.compare(a.dataset.name, b.dataset.name),
      first: (a, b) => (a.dataset.first ?? Infinity) - (b.dataset.first ?? Infinity) || a.dataset.index - b.dataset.index,
    };
    function plainRow([name, probability]) {
      const row = document.createElement("li");
      row.className = "row plain";
      const who = row.appendChild(document.createElement("div"));
      who.className = "who";
      for (const [type, text] of [["mark", ""], ["name", name], ["p", probability]]) {
        const part = who.appendChild(document.createElement("span"));
        part.className = type;
        part.textContent = text;
        if (type === "name") part.title = name;
      }
      return row;
    }
    const best = Math.max(SHOWN, $$(".present", list).length);
    function refresh() {
      const wanted = search.value.trim().toLowerCase();
      const matches = name => name.toLowerCase().includes(wanted);
      rows.sort(orders.probability);
      rows.forEach((row, i) => { row.hidden = wanted ? !matches(row.dataset.name) : !all && i >= best; });
      rows.sort(orders[sort.value]);
      const found = rest.filter(([name]) => matches(name));
      const plain = wanted ? found.slice(0, FOUND).map(plainRow) : [];
      list.replaceChildren(...rows, ...plain);

      const left = wanted ? 0 : rows.filter(row => row.hidden).length;
      const unseen = found.length - plain.length;
      const button = $("button", more);
      button.hidden = left === 0;
      button.textContent = `Show ${left} more labels`;
      more.replaceChildren(button, unseen ? `${left ? " · " : ""}${unseen} more can be found by name` : "");
      more.hidden = left + unseen === 0;
      empty.hidden = !wanted || plain.length > 0 || rows.some(row => !row.hidden);
    }
    $("button", more).addEventListener("click", () => { all = true; refresh(); });
    search.addEventListener("input", refresh);
    sort.addEventListener("change", refresh);
    tools.hidden = rows.length === 0;
    refresh();

    // A link to a row that is not shown, shows it.
    function reveal() {
      const row = rows.find(row => `#${row.id}` === location.hash);
      if (!row?.hidden) return;
      search.value = "";
      all = true;
      refresh();
      row.scrollIntoView();
    }
    addEventListener("hashchange", reveal);
    reveal();
  }
})();
