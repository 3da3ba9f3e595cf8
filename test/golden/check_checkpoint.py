"""Checks that transformers loads what we write, as it is, and computes with it what we compute.

    pip install torch transformers safetensors
    node dist/test/golden/write-checkpoint.js DIRECTORY
    python test/golden/check_checkpoint.py DIRECTORY

Run by hand, when names, shapes or config.json change. For each model: from_pretrained finds every parameter and
no other, all of the shapes it expects; logits are equal within 1e-4; greedy generation gives our tokens.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForSeq2SeqLM


def check(directory: Path, expected_class: str) -> None:
    model, report = AutoModelForSeq2SeqLM.from_pretrained(directory, output_loading_info=True)
    assert type(model).__name__ == expected_class, type(model)
    problems = {kind: names for kind, names in report.items() if names}
    assert not problems, problems
    assert model.dtype == torch.float32, model.dtype
    model.eval()

    computed = json.loads((directory / "computed.json").read_text())
    source = torch.tensor(computed["source"])
    lengths = torch.tensor(computed["sourceLengths"])
    mask = (torch.arange(source.shape[1])[None, :] < lengths[:, None]).long()
    with torch.no_grad():
        logits = model(
            input_ids=source, attention_mask=mask, decoder_input_ids=torch.tensor(computed["decoderInput"])
        ).logits
    difference = (logits - torch.tensor(computed["logits"])).abs().max().item()
    assert difference < 1e-4, difference

    expected = torch.tensor(computed["greedy"])
    generated = model.generate(input_ids=source, attention_mask=mask, max_length=1 + expected.shape[1])
    for row, ours in zip(generated[:, 1:].tolist(), expected.tolist()):
        # A row that has ended is padded by generate(); ours went on.
        end = row.index(model.config.eos_token_id) + 1 if model.config.eos_token_id in row else len(row)
        assert row[:end] == ours[:end], (row, ours)
    print(f"{directory.name}: {expected_class} loads; logits differ by {difference:.1e}; greedy {generated.tolist()}")


def main() -> None:
    print({"torch": torch.__version__, "transformers": transformers.__version__})
    directory = Path(sys.argv[1])
    check(directory / "post", "MarianMTModel")
    check(directory / "pre", "PegasusForConditionalGeneration")


if __name__ == "__main__":
    main()
