"""What benchmarks printed, as labels. Pure; tested on captured output.

The output is cut into sections by lines ``@@ tool words``; each tool has a reader. A figure
that is nought, not finite or not there gives no label: no word is better than a wrong one.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

from dsq.supervisor.settings import normalise

XFER_MIB = 2
"""Size of a transfer in the storage benchmarks; dd tells no operations, so they follow from it."""

_LEVELS = (
    ("x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")),
    ("x86-64-v3", ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe")),
    ("x86-64-v2", ("cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3")),
)
"""Levels of the x86-64 psABI by the flags that Linux shows, the highest first."""

Labels = dict[str, str]


def labels_of(output: str) -> Labels:
    """The labels that a benchmark's output gives, in the grid's spelling."""
    found: Labels = {}
    figures: dict[str, list[float]] = {}
    for words, lines in sections(output):
        reader = _READERS.get(words[0])
        if reader is not None and len(words) > _WORDS.get(words[0], 0):
            reader(words[1:], lines, found, figures)
    for key, values in figures.items():
        if text := number(fmean(values)):
            found[key] = text
    return {key: text for key, value in found.items() if (text := normalise(value))}


def failure_of(output: str) -> str:
    """Why a benchmark measured nothing, in its own words; "" if it does not say."""
    for words, lines in sections(output):
        if words[0] == "nothing":
            return " ".join(line.strip() for line in lines if line.strip())[:300]
    return ""


def sections(output: str) -> Iterator[tuple[list[str], list[str]]]:
    """The words and the lines of each section, ``@@ end`` left out."""
    words: list[str] = []
    lines: list[str] = []
    for line in [*output.splitlines(), "@@ end"]:
        if not line.startswith("@@ "):
            lines.append(line)
            continue
        if words and words[0] != "end":
            yield words, lines
        words, lines = line[3:].split() or ["end"], []


def number(value: float) -> str:
    """A figure as labels have it: two decimals; "" for what is no measure."""
    return f"{value:.2f}" if math.isfinite(value) and value > 0 else ""


def _pairs(lines: Sequence[str]) -> dict[str, str]:
    return {key: value.strip() for key, mark, value in (x.partition("=") for x in lines) if mark}


def _float(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def microarch(arch: str, flags: str) -> str:
    """The level of a CPU from its flags (``x86-64-v3``); other machines by their name alone."""
    if arch not in ("x86_64", "amd64"):
        return arch
    have = set(flags.split())
    return next((name for name, need in _LEVELS if have.issuperset(need)), "x86-64")


def _version(text: str) -> str:
    """The number in ``apptainer version 1.3.4-1.el9``."""
    match = re.search(r"\d+(\.\d+)+", text)
    return match[0] if match else text


_Figures = dict[str, list[float]]
_Reader = Callable[[Sequence[str], Sequence[str], Labels, _Figures], None]


def _machine(_: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    told = _pairs(lines)
    for key in ("os", "arch", "cpu", "gpu"):
        if told.get(key):
            found[key] = told[key]
    level = told.get("microarch") or microarch(told.get("arch", ""), told.get("flags", ""))
    found["cpu.microarch"] = level
    for runtime in ("apptainer", "singularity", "enroot"):
        if told.get(runtime):
            found[f"{runtime}.version"] = _version(told[runtime])
    if told.get("pyxis"):
        found["pyxis"] = "yes"


def _hpl(_: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    # T/V N NB P Q time Gflops; lines of HPL begin with WR or WC, those of HPL-AI with HPL_AI.
    best = 0.0
    for line in lines:
        cells = line.split()
        if len(cells) == 7 and re.fullmatch(r"W[RC]\w+", cells[0]):
            best = max(best, _float(cells[6]))
        elif cells[:1] == ["HPL_AI"] and len(cells) > 7:
            best = max(best, _float(cells[7]))
    _gflops(best, "hpl", found)


def _matrix(words: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    total = sum(_float(line.partition("=")[2]) for line in lines if line.startswith("gflops="))
    _gflops(total, "matrix-" + "-".join(words), found)


def _gflops(value: float, method: str, found: Labels) -> None:
    if text := number(value):
        found["compute.gflops"], found["compute.method"] = text, method


def _json(lines: Sequence[str]) -> Any:
    """The object among a tool's lines; warnings may stand before and after it.

    Raises:
        ValueError: There is none.
    """
    text = "\n".join(lines)
    return json.JSONDecoder().raw_decode(text, text.index("{"))[0]


def _add(figures: _Figures, key: str, value: float) -> None:
    if math.isfinite(value) and value > 0:
        figures.setdefault(key, []).append(value)


def _ior(words: Sequence[str], lines: Sequence[str], found: Labels, figures: _Figures) -> None:
    # access,bw(MiB/s),IOPS,Latency,block(KiB),xfer(KiB),open(s),wr/rd(s),close(s),total(s),
    # numTasks,iter. Ranks that do not know of each other each print what they did alone.
    for row in csv.reader(lines):
        if len(words) > 1 and len(row) > 10 and row[10].strip() not in ("numTasks", words[1]):
            continue
        if len(row) > 2 and row[0].strip() in ("read", "write"):
            key = f"storage.{words[0]}.{row[0].strip()}"
            _add(figures, f"{key}.bw.mibps", _float(row[1]))
            _add(figures, f"{key}.iops", _float(row[2]))
            found["storage.method"] = "ior"


def _fio(words: Sequence[str], lines: Sequence[str], found: Labels, figures: _Figures) -> None:
    try:
        jobs = _json(lines)["jobs"]
        for job in jobs:
            for way in ("read", "write"):
                if not job[way]["io_bytes"]:
                    continue
                key = f"storage.{words[0]}.{way}"
                _add(figures, f"{key}.bw.mibps", _float(job[way]["bw"]) / 1024)  # KiB/s
                _add(figures, f"{key}.iops", _float(job[way]["iops"]))
                found["storage.method"] = "fio"
    except (ValueError, KeyError, TypeError):
        return


def _dd(words: Sequence[str], lines: Sequence[str], found: Labels, figures: _Figures) -> None:
    storage, way = words[0], words[1]
    for line in lines:
        match = re.match(r"(\d+) bytes .*copied, ([\d.e+-]+) s", line)
        if match is not None and _float(match[2]) > 0:
            rate = int(match[1]) / _float(match[2]) / (1 << 20)
            _add(figures, f"storage.{storage}.{way}.bw.mibps", rate)
            _add(figures, f"storage.{storage}.{way}.iops", rate / XFER_MIB)
            found["storage.method"] = "dd"


def _osu(words: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    rows = [
        (int(cells[0]), _float(cells[1]))
        for cells in (line.split() for line in lines)
        if len(cells) >= 2 and cells[0].isascii() and cells[0].isdigit()
    ]
    rows = [row for row in rows if number(row[1])]
    if not rows:
        return
    found["network.method"] = "osu"
    match words[0]:
        case "latency":  # of the smallest message
            found["network.p2p.latency.us"] = number(min(rows)[1])
        case "alltoall":
            found["network.all-to-all.latency.us"] = number(min(rows)[1])
        case "bibw":  # MB/s of the best size; the label has Mbit/s
            found["network.p2p.bw.mbps"] = number(max(row[1] for row in rows) * 8)


def _tcp(_: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    told = _pairs(lines)
    for key, label in (
        ("latency_us", "network.p2p.latency.us"),
        ("mbit_per_s", "network.p2p.bw.mbps"),
    ):
        if text := number(_float(told.get(key, ""))):
            found[label], found["network.method"] = text, "tcp"


def _outside(words: Sequence[str], bits_per_second: float, found: Labels) -> None:
    if words and (text := number(bits_per_second / 1e6)):
        found[f"network.{words[0]}.bw.mbps"] = text


def _curl(words: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    _outside(words, 8 * _float(_pairs(lines).get("bytes_per_s", "")), found)


def _iperf3(words: Sequence[str], lines: Sequence[str], found: Labels, _f: _Figures) -> None:
    try:
        rate = _json(lines)["end"]["sum_received"]["bits_per_second"]
    except (ValueError, KeyError, TypeError):
        return
    _outside(words, _float(rate), found)


_WORDS = {"ior": 1, "fio": 1, "dd": 2, "osu": 1}
"""Words that have to follow a tool's name."""

_READERS: dict[str, _Reader] = {
    "machine": _machine,
    "hpl": _hpl,
    "matrix": _matrix,
    "ior": _ior,
    "fio": _fio,
    "dd": _dd,
    "osu": _osu,
    "tcp": _tcp,
    "curl": _curl,
    "iperf3": _iperf3,
}
