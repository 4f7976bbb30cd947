"""PISA as a peer of the index benchmark.

    peer.py index DIR < CORPUS   lines "number TAB words"
    peer.py serve DIR            lines "COMMAND TAB QUERY", one answer a line

PISA has no positions, so no phrases, and the package's interface to it returns the best k documents and nothing else: counts, excluded
and optional parts are UNSUPPORTED. Each call also makes Python strings of the results' names, which PISA by itself would not:
some 30 ns a result.
"""

import glob
import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import threading
import time

import numpy as np

ENCODING = "block_simdbp"  # the fastest in PISA's own measurements
K1, B = 0.9, 0.4
BLOCK = 64  # postings of a block of the block-max data; the package's default
BATCH = 100_000  # documents that are inverted at a time; the package's default
THREADS = 1
UNION, INTERSECTION = "block_max_maxscore", "block_max_ranked_and"


def load_pisa():
    """Loads the compiled module alone: the package around it wants PyTerrier and Java."""
    [path] = glob.glob(os.path.join(sys.prefix, "lib", "python*", "site-packages", "pyterrier_pisa", "_pisathon*.so"))
    loader = importlib.machinery.ExtensionFileLoader("_pisathon", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_pisathon", loader))
    loader.exec_module(module)
    return module


def prepare(pisa, directory):
    context = pisa.RetrievalContext()
    pisa.prepare_index(context, directory, ENCODING, "bm25", "", block_size=BLOCK, quantize=0, bm25_k1=K1, bm25_b=B)
    return context


def index(pisa, directory, out):
    began = time.monotonic()
    documents = 0

    def feed(path):
        nonlocal documents
        with open(path, "wb") as fifo:
            for line in sys.stdin.buffer:
                fifo.write(line.replace(b"\t", b" ", 1))
                documents += 1

    with tempfile.TemporaryDirectory() as scratch:
        fifo = os.path.join(scratch, "corpus")
        os.mkfifo(fifo)
        writer = threading.Thread(target=feed, args=(fifo,))
        writer.start()
        pisa.index(fifo, directory, "", BATCH, THREADS)
        writer.join()
    prepare(pisa, directory)
    seconds = time.monotonic() - began
    for path in glob.glob(os.path.join(directory, "inv.*")) + glob.glob(os.path.join(directory, "fwd*")):
        if not path.endswith("lex"):  # names of terms and documents; the rest are uncompressed steps on the way
            os.remove(path)
    sizes = sum(os.path.getsize(os.path.join(directory, name)) for name in os.listdir(directory))
    print(json.dumps({"documents": documents, "seconds": round(seconds, 3), "bytes": sizes}), file=out)


class Server:
    def __init__(self, pisa, directory):
        self.pisa = pisa
        self.context = prepare(pisa, directory)
        self.queries = np.empty(1000, dtype=np.int32)
        self.ranks = np.empty(1000, dtype=np.int32)
        self.scores = np.empty(1000, dtype=np.float32)

    def answer(self, line):
        command, _, text = line.partition("\t")
        if command == "NOOP":
            return "1"
        kind, _, number = command.partition("_")
        if kind not in ("TOP", "DOCS") or not number.isdigit() or not 0 < int(number) <= 1000:
            return "UNSUPPORTED"
        words = text.split()
        required = [w for w in words if w[0] == "+"]
        if '"' in text or any(w[0] == "-" for w in words) or 0 < len(required) < len(words):
            return "UNSUPPORTED"
        names = np.empty(int(number), dtype=object)
        found = self.pisa.retrieve(
            self.context, INTERSECTION if required else UNION, [(0, text.replace("+", ""))], k=int(number), threads=1,
            pretokenised=0, query_weighted=0,
            result_qidxs=self.queries, result_docnos=names, result_ranks=self.ranks, result_scores=self.scores)
        if kind == "TOP":
            return "1"
        return " ".join(f"{names[i]}:{self.scores[i]:.6f}" for i in range(found))

    def run(self, out):
        for line in sys.stdin:
            out.write(self.answer(line.rstrip("\n")) + "\n")
            out.flush()


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("index", "serve"):
        sys.exit("usage: peer.py index DIR | serve DIR")
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # PISA tells what it does on the standard output
    pisa = load_pisa()
    if sys.argv[1] == "index":
        index(pisa, sys.argv[2], out)
    else:
        Server(pisa, sys.argv[2]).run(out)


if __name__ == "__main__":
    main()
