#!/usr/bin/env python3
"""Verify a receipt: verify.py RECEIPT POLICY [BODY, DOCUMENT or a panel's OUTCOME]. Written from receipt/FORMAT.md; Python's standard library only."""
import base64, re, sys
from panel import RECORD, outcome, witnessed
from tlog import N, V, fields, headed, lies, need, opened, policy_of, raw, sha, split, text_of, unbase, vkey

ATTEST = f"concord/tx/v1 attest\nchain {V}\nfrom {V}\nseq {N}\ncount {N}\nroot {V}\nspan {N} {N}\nprev {V}\n"
ADMIT = f"concord/tx/v1 gov\nchain {V}\nepoch {V}\nadmit {V}\nop {V}\ncosign {V}\nlog {V}\ncons {V}\nnode {V}\n(?:url {V}\n)?"
ROTATE = f"concord/tx/v1 gov\nchain {V}\nepoch {V}\nrotate ([^ \n]+) op {V}\n"
ENTRY = f"entry (\\S+) {N} ([1-9][0-9][0-9]) (\\S+) (\\S+) ([^ \n]*) (\\S+) ([^\0-\x20\x7f]+)"
DOC = f"concord/tx/v1 doc\nchain {V}\nfrom {V}\nseq {N}\n((?:sha256 [^\n]+\n)+)(?:label {V}\n)?"
PAPER = f"concord/document/v1\nsha256 {V}(?:\nsalt {V})?(?:\nrecord {N} {N}((?:\n.+)*))?"

def vouched(admit, operator, chain, keys):
    """Return the op key that an admission, or a rotation of it, names; a cosigning key of the operator that the policy lists signed the text."""
    text = admit.split("\n\n")[0] + "\n"
    if "\nrotate " in text: home, _, admitted, op = fields(ROTATE, text)
    else:
        home, _, admitted, op, cosign, _, cons, _, _ = fields(ADMIT, text)
        need(vkey(cosign, 4)[0] == admitted and unbase(cons, 32), "keys of another operator")
    op = vkey(op, 1)
    need(admitted == operator == op[0] and home.split(":")[0] == chain.split(":")[0], "keys of another operator or chain")
    need(len(opened(admit, [k for k in keys[0] if k[2] == 4 and k[0] == operator and k not in keys[1]])[1]) == 1, "the policy has no witness that vouches for the operator's key")
    return op

def document(proof, policy):
    """Return (digest of the document, operator, time of its block or None, entries, origin, level, who cosigned) of a document's receipt, or of a promise of one."""
    need(len(proof) <= 65536, "too long")
    policy = policy_of(text_of(policy))
    extra, index, path, checkpoint = (text_of(proof), None, [], "") if proof.startswith(b"concord/document/") else split(proof)
    blocks = extra.split("\n\n")
    need(len(blocks) == (5 if index is None else 6), "not a receipt of a document")
    digest, salt, at, shared, own = fields(PAPER, blocks[0])
    need((at is None) == (index is None) and any(unbase(digest, 32)) and (salt is None or any(unbase(salt, 32))), "a promise has no record, and a receipt has one")
    noted = digest if salt is None else base64.b64encode(sha(unbase(salt, 32), unbase(digest, 32))).decode()
    note, admit = blocks[-4] + "\n\n" + blocks[-3] + "\n", blocks[-2] + "\n\n" + blocks[-1]
    chain, operator, seq, digests, _ = fields(DOC, blocks[-4] + "\n")
    need("sha256 " + noted in digests.split("\n") and all(any(unbase(d[7:], 32)) for d in digests.split("\n")[:-1]) and int(seq) < 2**64, "the note does not hold this document")
    opened(note, [vouched(admit, operator, chain, policy)])
    if index is None: return need(seq == "0", "a promise has seq 0") or (digest, operator, None, 0, "", 0, "nobody")
    record, own, shared = blocks[1] + "\n", own.split("\n")[1:], int(shared)
    _, _, time, _, txs = fields(RECORD, record)
    origin, size, top, level, by = headed(checkpoint, policy)
    need(shared <= len(path) and (not own or shared == len(path) or own[-1] != path[-1 - shared]), "the paths share another number of hashes")
    need(lies(raw(note), index, int(size), path, top), "the note is not in the log")
    need(0 < int(at) - index <= int(txs) and lies(raw(record), int(at), int(size), own + path[len(path) - shared:], top), "the record is not that of the note's block")
    return digest, operator, int(time), int(size), origin, level, by

def canonical(line):
    entry = fields(ENTRY, line)
    need(entry[4:6] == ("-", "-") or any(unbase(entry[4], 32)), "no canonical digest of the text")
    for text, size in (entry[0], 16), (entry[3], 32), (entry[6], 32): unbase(text, size)
    return need(int(entry[1]) < 2**63, "no time") or entry
def verify(proof, policy):
    """Return (fields of the entry, operator, entries, origin, chain, level, who cosigned) of a capture's receipt, or of a promise of one (level 0). What proves nothing is a ValueError or the like."""
    policy = policy_of(text_of(policy))
    if proof.startswith(b"concord/receipt/"):
        head, text, sig, *admit = text_of(proof).split("\n\n")
        line, chain, operator = fields(f"concord/receipt/v1\n{V}", head)[0], *fields(f"concord/tx/v1 doc\nchain {V}\nfrom {V}\n(?s:.*)", text)
        digest = base64.b64encode(sha(b"\0", raw(line))).decode()
        need(len(proof) <= 65536 and len(admit) == 2 and text == f"concord/tx/v1 doc\nchain {chain}\nfrom {operator}\nseq 0\nsha256 {digest}\nlabel capture", "not the promise of this capture")
        opened(text + "\n\n" + sig + "\n", [vouched("\n\n".join(admit), operator, chain, policy)])
        return canonical(line), operator, 0, "", chain, 0, ""
    extra, index, path, checkpoint = split(proof)
    blocks = extra.split("\n\n")
    need(len(blocks) == 5, "not a receipt")
    line, at, count, batch = fields(f"concord/receipt/v1\n{V}\nbatch {N} {N}((?:\n.+)*)", blocks[0])
    entry, attest, admit = canonical(line), blocks[1] + "\n\n" + blocks[2] + "\n", blocks[3] + "\n\n" + blocks[4]
    chain, operator, seq, captures, root, first, last, prev = fields(ATTEST, blocks[1] + "\n")
    need(unbase(prev, 32) and count == captures != "0" and int(seq) < 2**64 and int(first) <= int(entry[1]) <= int(last) < 2**63, "another batch, or outside its span of time")
    need(lies(raw(line), int(at), int(count), batch.split("\n")[1:], root), "the entry is not in the batch")
    opened(attest, [vouched(admit, operator, chain, policy)])
    origin, size, top, level, by = headed(checkpoint, policy)
    need(lies(raw(attest), index, int(size), path, top), "the attestation is not in the log")
    return entry, operator, int(size), origin, chain, level, by

def kind(file):
    for form in "document", "receipt":
        if file.startswith(b"concord/" + form.encode() + b"/"): return form
    found = re.match(b"c2sp[.]org/tlog-proof@v1\nextra ([^\n]*)\n", file)
    return unbase(found[1].decode()).split(b"/")[1].decode() if found else ""
if __name__ == "__main__":
    files = [open(name, "rb").read() for name in sys.argv[1:]]
    try:
        what = kind(files[0])
        out, seen = {"document": document, "outcome": outcome}.get(what, verify)(*files[:2]), None
        if what == "outcome": seen = need(len(files) < 3, "an outcome is of no content") or out
        elif len(files) > 2 and what == "receipt" and kind(files[2]) == "outcome": seen = witnessed(out, outcome(files[2], files[1]))
        else: need(len(files) < 3 or sha(files[2]) == unbase(out[0] if what == "document" else out[0][3]), "the body or document is another one")
    except Exception as why: sys.exit(f"not proven: {why}")
    if what != "outcome":
        name, time, place = (out[0], out[2], out[3:5]) if what == "document" else (out[0][7], out[0][1], out[2:4])
        if not out[5]: print("promised:", name, "by", out[1], "level 0")
        else: print("proven:", name, "by", out[1], "at", time, "under", place[0], "entries of", f"{place[1]}; level {out[5]}, cosigned by {out[6]}")
    if seen: print("proven: a panel came to", seen["verdict"], "on", seen["url"], "at", seen["closed"], "under", seen["size"], "entries of", seen["origin"] + ", level", seen["level"])
    if seen: print("\n".join(f"  {s[0]}: {s[3]}" for s in seen["earlier"] + seen["seats"]))
