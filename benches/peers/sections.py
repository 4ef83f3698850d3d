"""Who runs in which section, and with what command.

Commands and variables are written with the placeholders {python}, {here} (contestants/), {cache}, {inputs}, {checks},
{ours} and {lexivid}, and are recorded that way.
"""

from dataclasses import dataclass, field

# Keeps glibc's pages instead of giving them back: on a virtual machine page faults are dear.
TUNED = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
}
MODELS = {"vit_b16": "ViT-B/16", "vit_b32": "ViT-B/32"}
OURS = "lexivid"
CLIPS = 6
# Label embeddings that lexivid keeps are kept apart from the user's.
HOME = {"LEXIVID_HOME": "{cache}/home"}


@dataclass
class Contestant:
    """One row of a table, or a part of one."""

    section: str
    name: str
    command: str
    # What tells apart the runs of a section that have the same name: model, batch, threads, which clips.
    fields: dict = field(default_factory=dict)
    environment: dict = field(default_factory=dict)
    # The .npy file of its outputs, below {checks}.
    check: str | None = None

    def is_ours(self):
        return self.name.startswith(OURS)


def tuned(section, name, command):
    return Contestant(section, f"{name} tuned", command, environment=TUNED)


def image_tower(section, name, program, model, precision, batch, threads, runs, environment=None):
    check = f"{section}-{model}-{batch}-{threads}-{name}.npy".replace(" ", "-")
    command = (
        f"{program} --pixels {{inputs}}/x.npy --batch {batch} --threads {threads} --precision {precision}"
        f" --runs {runs} --check {{checks}}/{check}"
    )
    fields = {"model": model, "batch": batch, "threads": threads}
    return Contestant(section, name, command, fields, environment or {}, check)


def programs(model):
    """The command of each engine without its options."""
    return {
        "PyTorch": f"{{python}} {{here}}/tower_torch.py --model {{inputs}}/{model}",
        "OpenVINO": f"{{python}} {{here}}/tower_openvino.py --model {{inputs}}/{model}.onnx",
        "onnxruntime": f"{{python}} {{here}}/tower_onnxruntime.py --model {{inputs}}/{model}.onnx",
        OURS: f"{{ours}} tower --model {{inputs}}/{model}",
    }


def tower(runs):
    """Every engine at batch 8 on two threads."""
    for model in MODELS:
        of = programs(model)
        for engine, precision, environment in [
            ("PyTorch", "f32", None),
            ("PyTorch", "f32", TUNED),
            ("PyTorch", "bf16", None),
            ("PyTorch", "bf16", TUNED),
            ("OpenVINO", "f32", None),
            ("OpenVINO", "bf16", None),
            ("OpenVINO", "int8", None),
            ("onnxruntime", "f32", None),
            (OURS, "f32", None),
            (OURS, "bf16", None),
            (OURS, "int8", None),
        ]:
            name = f"{engine} {precision}" + (" tuned" if environment else "")
            yield image_tower("tower", name, of[engine], model, precision, 8, 2, runs, environment)


def scaling(runs):
    """Batches and threads, the two bf16 contestants that the targets name and both f32."""
    for model in MODELS:
        of = programs(model)
        for threads in (1, 2):
            for batch in (1, 2, 4, 8, 16, 32):
                # About the same number of frames each.
                of_batch = min(max(3, 8 * runs // batch), 3 * runs)
                for engine, precision in [("PyTorch", "f32"), (OURS, "f32"), ("PyTorch", "bf16"), (OURS, "bf16")]:
                    environment = TUNED if engine == "PyTorch" else None
                    name = f"{engine} {precision}" + (" tuned" if environment else "")
                    yield image_tower(
                        "scaling", name, of[engine], model, precision, batch, threads, of_batch, environment
                    )


def pipeline(_):
    """Whole programs, timed from outside: one clip, several, and a short one."""
    torch = (
        "{python} {here}/pipeline_torch.py --model {inputs}/vit_b16 --labels {inputs}/few.csv --threads 2 --precision"
    )
    lexivid = (
        "{lexivid} classify --quiet --json --model {inputs}/vit_b16 --labels-file {inputs}/few.csv"
        " --window 2s --hop 1s --frames 8"
    )
    several = " ".join(f"{{inputs}}/clips/{i}.mp4" for i in range(CLIPS))
    for clips, files in [("short", "{inputs}/short.mp4"), ("one", "{inputs}/clip.mp4"), ("several", several)]:
        for name, command, environment in [
            ("PyTorch bf16 tuned + PyAV", f"{torch} bf16", TUNED),
            # Faster where no instruction, or a slow one, multiplies bf16.
            ("PyTorch f32 tuned + PyAV", f"{torch} f32", TUNED),
            # Labels are encoded anew, as the other does; with --precision's default.
            (OURS, f"{lexivid} --no-cache", HOME),
            (f"{OURS} int8", f"{lexivid} --no-cache --precision int8", HOME),
            (f"{OURS}, labels known", lexivid, HOME),
        ]:
            yield Contestant("pipeline", name, f"{command} {files}", {"clips": clips}, environment)


def both(section, script, ours, options, runs):
    """PyTorch f32 and bf16, plain and tuned, against ours in f32 and bf16."""
    for precision in ("f32", "bf16"):
        end = f"{options} --threads 2 --precision {precision} --runs {runs}"
        yield Contestant(section, f"PyTorch {precision}", f"{{python}} {{here}}/{script} {end}")
        yield tuned(section, f"PyTorch {precision}", f"{{python}} {{here}}/{script} {end}")
        yield Contestant(section, f"{OURS} {precision}", f"{{ours}} {ours} {end}")


def labels(runs):
    """The text tower on 1,000 labels."""
    yield from both(
        "labels",
        "labels_torch.py",
        "labels",
        "--model {inputs}/vit_b16 --labels {inputs}/labels.txt",
        max(2, runs // 3),
    )


def grad(runs):
    """The frozen language model, forward and backward to its inputs."""
    yield from both("grad", "grad_torch.py", "grad", "", runs)


def i3d(runs):
    """I3D's convolutions."""
    layers = "--layers {here}/../i3d_layers.json"
    yield from both("i3d", "i3d_torch.py", "i3d", layers, runs)
    for precision in ("f32", "bf16"):
        options = f"{layers} --threads 2 --precision {precision} --runs {runs} --channels-last"
        yield tuned("i3d", f"PyTorch {precision} channels last", f"{{python}} {{here}}/i3d_torch.py {options}")


def ceilings(_):
    """What the machine can do at most."""
    yield Contestant("ceilings", "ceilings.c", "{cache}/ceilings")


SECTIONS = {f.__name__: f for f in (tower, scaling, pipeline, labels, grad, i3d, ceilings)}
