"""Makes the golden values of test/model: logits and training losses of Hugging Face's own models in PyTorch.

    pip install torch transformers
    python test/golden/make_golden.py        # writes weights.json, logits.json and training.json beside itself

Run by hand, when what is recorded changes; the test suite reads the files and needs no Python. The versions
that made them are printed and recorded in them.

weights.json    one set of random weights under Hugging Face's names, for all models: small integers (int8, in
                base64) over a denominator per tensor, so that every value is exact in float32.
logits.json     for Marian and Pegasus, each with ReLU, GELU and swish: ids with padding, and the logits of every position.
training.json   20 steps of torch.optim.AdamW from these weights: per step the mean loss and the gradient's norm.
"""

import base64
import json
import math
from pathlib import Path

import numpy
import torch
import transformers
from torch.nn import functional
from transformers import MarianConfig, MarianMTModel, PegasusConfig, PegasusForConditionalGeneration

HERE = Path(__file__).parent
VOCABULARY, WIDTH, HEADS, FEED_FORWARD, LAYERS, MAX_LENGTH = 97, 32, 4, 64, 2, 24
PAD, END = 0, 1
ACTIVATIONS = ("relu", "gelu", "swish")
STEPS, SMOOTHING = 20, 0.1
OPTIMIZER = {
    "learningRate": 2e-3,
    "beta1": 0.9,
    "beta2": 0.98,
    "epsilon": 1e-9,
    "weightDecay": 0.05,
    "clipNorm": 3.5,
    "schedule": {"kind": "inverse-square-root", "warmupSteps": 6},
}
VERSIONS = {"torch": torch.__version__, "transformers": transformers.__version__}


def build(norm: str, activation: str) -> torch.nn.Module:
    """A model in evaluation mode; it has no dropout, so that training mode is the same."""
    config_class, model_class = {
        "post": (MarianConfig, MarianMTModel),
        "pre": (PegasusConfig, PegasusForConditionalGeneration),
    }[norm]
    config = config_class(
        vocab_size=VOCABULARY,
        max_position_embeddings=MAX_LENGTH,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FEED_FORWARD,
        decoder_ffn_dim=FEED_FORWARD,
        activation_function=activation,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        scale_embedding=True,
        pad_token_id=PAD,
        eos_token_id=END,
        decoder_start_token_id=PAD,
        forced_eos_token_id=None,
    )
    return model_class(config).eval()


def random_weights(generator: numpy.random.Generator) -> dict[str, dict]:
    """For every parameter of the pre-norm model, which has all names of the other."""
    weights = {}
    for name, parameter in build("pre", "relu").named_parameters():
        if "embed_positions" in name:
            continue
        if name.endswith("norm.weight"):
            denominator, mean, deviation = 64, 1.0, 0.2
        else:
            denominator, mean, deviation = 256, 0.0, 0.14
        drawn = generator.normal(mean, deviation, tuple(parameter.shape)) * denominator
        integers = numpy.clip(numpy.rint(drawn), -127, 127).astype(numpy.int8)
        weights[name] = {"shape": list(parameter.shape), "denominator": denominator, "integers": integers}
    return weights


def load(model: torch.nn.Module, weights: dict[str, dict]) -> None:
    """Copies the weights by name; every parameter but the positions must be given."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" in name:
                continue
            weight = weights[name]
            values = weight["integers"].astype(numpy.float32) / numpy.float32(weight["denominator"])
            parameter.copy_(torch.from_numpy(values))


def padded(rows: list[list[int]]) -> torch.Tensor:
    length = max(map(len, rows))
    return torch.tensor([row + [PAD] * (length - len(row)) for row in rows])


def random_batch(generator: numpy.random.Generator, lengths: list[tuple[int, int]], loss_part: float) -> dict:
    """A batch of (source, target) lengths; `loss_part` of the target's positions carry loss."""
    draw = lambda count: [int(token) for token in generator.integers(2, VOCABULARY, count)]
    sources = [draw(source - 1) + [END] for source, _ in lengths]
    targets = [draw(target - 1) + [END] for _, target in lengths]
    length = max(target for _, target in lengths)
    carrying = [
        (row * length + position, token)
        for row, target in enumerate(targets)
        for position, token in enumerate(target)
        if generator.random() < loss_part
    ]
    return {
        "samples": len(lengths),
        "sourceLength": max(source for source, _ in lengths),
        "targetLength": length,
        "source": padded(sources).flatten().tolist(),
        "sourceLengths": [source for source, _ in lengths],
        "decoderInput": padded([[PAD] + target[:-1] for target in targets]).flatten().tolist(),
        "targetLengths": [target for _, target in lengths],
        "lossRows": [row for row, _ in carrying],
        "labels": [label for _, label in carrying],
    }


def logits_of(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """[B, T, V]. No mask for the decoder's padding: it stands at the end, which the causal mask hides."""
    source = torch.tensor(batch["source"]).view(batch["samples"], -1)
    lengths = torch.tensor(batch["sourceLengths"])
    mask = (torch.arange(source.shape[1])[None, :] < lengths[:, None]).long()
    decoder_input = torch.tensor(batch["decoderInput"]).view(batch["samples"], -1)
    return model(input_ids=source, attention_mask=mask, decoder_input_ids=decoder_input).logits


def make_logits(weights: dict[str, dict]) -> dict:
    batch = random_batch(numpy.random.default_rng(2), [(9, 7), (5, 2), (1, 4)], 1.0)
    models = []
    for norm in ("post", "pre"):
        for activation in ACTIVATIONS:
            model = build(norm, activation)
            load(model, weights)
            with torch.no_grad():
                logits = logits_of(model, batch)
            values = base64.b64encode(logits.numpy().astype("<f4").tobytes()).decode()
            models.append({"norm": norm, "activation": activation, "logits": values})
    return {"versions": VERSIONS, "batch": batch, "models": models}


def learning_rate(step: int) -> float:
    """The paper's schedule with a given peak; steps are counted from 1."""
    warmup = OPTIMIZER["schedule"]["warmupSteps"]
    return OPTIMIZER["learningRate"] * min(step / warmup, math.sqrt(warmup / step))


def train(model: torch.nn.Module, batches: list[dict]) -> list[dict]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": OPTIMIZER["weightDecay"]},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    betas = (OPTIMIZER["beta1"], OPTIMIZER["beta2"])
    optimizer = torch.optim.AdamW(groups, lr=1.0, betas=betas, eps=OPTIMIZER["epsilon"], foreach=False)
    steps = []
    for step in range(1, STEPS + 1):
        batch = batches[(step - 1) % len(batches)]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        hidden_rows = logits_of(model, batch).flatten(0, 1)[torch.tensor(batch["lossRows"])]
        loss = functional.cross_entropy(hidden_rows, torch.tensor(batch["labels"]), label_smoothing=SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, OPTIMIZER["clipNorm"])
        optimizer.step()
        steps.append({"loss": loss.item(), "gradientNorm": norm.item()})
    return steps


def make_training(weights: dict[str, dict]) -> dict:
    generator = numpy.random.default_rng(3)
    shapes = [[(8, 8), (3, 5), (6, 1)], [(2, 3), (11, 9)], [(7, 7), (7, 7), (7, 6), (4, 7)]]
    batches = [random_batch(generator, lengths, part) for lengths, part in zip(shapes, (1.0, 0.6, 0.3))]
    runs = []
    for norm in ("post", "pre"):
        for activation in ACTIVATIONS:
            model = build(norm, activation)
            load(model, weights)
            steps = train(model, batches)
            norms = [step["gradientNorm"] for step in steps]
            assert min(norms) < OPTIMIZER["clipNorm"] < max(norms), f"some steps clip and some do not: {norms}"
            runs.append({"norm": norm, "activation": activation, "steps": steps})
    settings = {"optimizer": OPTIMIZER, "smoothing": SMOOTHING}
    return {"versions": VERSIONS, **settings, "batches": batches, "runs": runs}


def encoded(weights: dict[str, dict]) -> dict:
    tensors = {
        name: {**weight, "integers": base64.b64encode(weight["integers"].tobytes()).decode()}
        for name, weight in weights.items()
    }
    shape = {
        "vocabularySize": VOCABULARY,
        "width": WIDTH,
        "heads": HEADS,
        "feedForward": FEED_FORWARD,
        "encoderLayers": LAYERS,
        "decoderLayers": LAYERS,
        "maxLength": MAX_LENGTH,
        "padId": PAD,
        "endId": END,
        "startId": PAD,
    }
    return {"versions": VERSIONS, "config": shape, "tensors": tensors}


def main() -> None:
    print(VERSIONS)
    torch.use_deterministic_algorithms(True)
    weights = random_weights(numpy.random.default_rng(1))
    contents = {
        "weights.json": encoded(weights),
        "logits.json": make_logits(weights),
        "training.json": make_training(weights),
    }
    for name, content in contents.items():
        text = json.dumps(content, separators=(",", ":"))
        (HERE / name).write_text(text + "\n")
        print(f"{name}: {len(text)} bytes")
    for run in contents["training.json"]["runs"]:
        print(run["norm"], run["activation"], [round(step["loss"], 3) for step in run["steps"]])
        print("  norms", [round(step["gradientNorm"], 2) for step in run["steps"]])


if __name__ == "__main__":
    main()
