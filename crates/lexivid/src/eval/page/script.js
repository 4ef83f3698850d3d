"use strict";
(() => {
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

  const table = $("#labels");
  const body = $("tbody", table);
  const rows = $$("tr", body);
  const text = (row, column) => row.cells[column].textContent;

  // A click on a heading sorts by it, a second one the other way round. Empty cells come last.
  const headings = $$("th", table);
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const words = heading.classList.contains("words");
      const first = words ? "ascending" : "descending";
      const second = words ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? second : first;
      headings.forEach(other => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      rows.sort((a, b) => {
        const [x, y] = [text(a, column), text(b, column)];
        if (!x || !y) return !x - !y;
        return sign * (words ? x.localeCompare(y) : x - y);
      });
      body.append(...rows);
    });
  });

  const search = $(".tools input");
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !text(row, 0).toLowerCase().includes(wanted);
  });
  $(".tools").hidden = false;
})();
