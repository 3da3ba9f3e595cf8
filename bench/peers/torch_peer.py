"""The model of `npm run bench -- engine` and `-- gpu` in PyTorch, as its users would write it: the same sizes and the same
work per step (forward, backward, clipping, AdamW). With bfloat16 products and attention run under autocast.

Reads commands on stdin, answers each with one line of JSON on stdout: {"steps": N} runs one training step, and then N of
which it gives the seconds; the first line printed describes the process once it is warm. Ends with its input.
"""

import argparse
import contextlib
import json
import math
import resource
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Attention(nn.Module):
    """Multi-head attention with the projections that share an input packed into one product."""

    def __init__(self, width, heads, cross):
        super().__init__()
        self.heads, self.cross = heads, cross
        if cross:
            self.q, self.kv = nn.Linear(width, width), nn.Linear(width, 2 * width)
        else:
            self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def split(self, x):  # [B, T, d] -> [B, H, T, d / H]
        b, t, d = x.shape
        return x.view(b, t, self.heads, d // self.heads).transpose(1, 2)

    def forward(self, x, memory=None, causal=False):
        if self.cross:
            q, (k, v) = self.q(x), self.kv(memory).chunk(2, -1)
        else:
            q, k, v = self.qkv(x).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(self.split(q), self.split(k), self.split(v), is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(x.shape))


class Layer(nn.Module):
    def __init__(self, width, heads, ff, dropout, decoder):
        super().__init__()
        self.attention = Attention(width, heads, cross=False)
        self.cross = Attention(width, heads, cross=True) if decoder else None
        self.fc1, self.fc2 = nn.Linear(width, ff), nn.Linear(ff, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3 if decoder else 2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, memory=None):
        norms = iter(self.norms)
        x = next(norms)(x + self.dropout(self.attention(x, causal=self.cross is not None)))
        if self.cross is not None:
            x = next(norms)(x + self.dropout(self.cross(x, memory)))
        return next(norms)(x + self.dropout(self.fc2(F.relu(self.fc1(x)))))


class Transformer(nn.Module):
    def __init__(self, vocabulary, width, heads, ff, layers, length, dropout):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.encoder = nn.ModuleList(Layer(width, heads, ff, dropout, False) for _ in range(layers))
        self.decoder = nn.ModuleList(Layer(width, heads, ff, dropout, True) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)
        self.scale = math.sqrt(width)
        angles = torch.arange(length)[:, None] / 10000 ** (torch.arange(width // 2) * 2 / width)[None]
        self.register_buffer("positions", torch.cat([angles.sin(), angles.cos()], -1))

    def embed(self, ids):
        return self.dropout(self.embedding(ids) * self.scale + self.positions[: ids.shape[1]])

    def forward(self, source, target, labels):
        memory = self.embed(source)
        for layer in self.encoder:
            memory = layer(memory)
        hidden = self.embed(target)
        for layer in self.decoder:
            hidden = layer(hidden, memory)
        logits = F.linear(hidden, self.embedding.weight)
        return F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), reduction="sum")


def main():
    parser = argparse.ArgumentParser()
    for name in ("vocabulary", "width", "heads", "ff", "layers", "samples", "length", "threads"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--warm-up", type=int, default=3)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    model = Transformer(a.vocabulary, a.width, a.heads, a.ff, a.layers, a.length, 0.1).to(a.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    forward = torch.compile(model) if a.compile else model
    source, target, labels = torch.randint(2, a.vocabulary, (3, a.samples, a.length), device=a.device)
    autocast = (
        torch.autocast(a.device, dtype=torch.bfloat16) if a.precision == "bfloat16" else contextlib.nullcontext()
    )

    def step():
        begun = time.perf_counter()
        with autocast:
            loss = forward(source, target, labels)
        (loss / labels.numel()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if a.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    def answer(**fields):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({**fields, "peakBytes": peak}), flush=True)

    for _ in range(a.warm_up):
        step()
    answer(version=torch.__version__, parameters=sum(p.numel() for p in model.parameters()))
    for line in sys.stdin:
        step()  # the others ran meanwhile, and in a run a step follows another
        answer(seconds=[step() for _ in range(json.loads(line)["steps"])])


main()
