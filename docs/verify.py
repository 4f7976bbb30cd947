#!/usr/bin/env python3
"""Verify a receipt: verify.py RECEIPT POLICY [BODY or DOCUMENT]. Written from receipt/FORMAT.md; Python's standard library only."""
import base64, hashlib, re, sys

def need(ok, why):
    if not ok: raise ValueError(why)
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def raw(text): return text.encode("utf-8", "surrogateescape")
def unbase(text, size=None):
    data = base64.b64decode(text.encode(), validate=True)
    need(base64.b64encode(data).decode() == text and size in (None, len(data)), "base64 is not canonical, or not of this size")
    return data
# Ed25519 (RFC 8032, section 5.1) in extended coordinates.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
def lift(y, odd):
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P: x = x * pow(2, (P - 1) // 4, P) % P
    need((v * x * x - u) % P == 0, "not a point of the curve")
    return (x := P - x if x % 2 != odd else x), y, 1, x * y % P
def add(p, q):
    a, b, c, d = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0]), 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P
def times(n, p, r=(0, 1, 1, 0)):
    while n: r, p, n = add(r, p) if n & 1 else r, add(p, p), n >> 1
    return r
BASE = lift(4 * pow(5, P - 2, P) % P, 0)
def ed25519(key, msg, sig):
    s, n = int.from_bytes(sig[32:], "little"), int.from_bytes(key, "little")
    k = int.from_bytes(hashlib.sha512(sig[:32] + key + msg).digest(), "little") % L
    x, y, z, _ = add(times(s, BASE), times(L - k, lift(n % 2**255 % P, n >> 255)))  # must be the point R
    x, y = (c * pow(z, P - 2, P) % P for c in (x, y))
    return len(sig) == 64 and s < L and (y | (x & 1) << 255).to_bytes(32, "little") == sig[:32]
def named(name): return 0 < len(raw(name)) < 256 and not re.search("[\\s\0-\x1f\x7f+\ud800-\udfff]", name)
def vkey(text, kind):
    name, ident, b64 = text.split("+", 2)
    data = unbase(b64, 33)
    need(named(name) and data[0] == kind and sha(raw(name), b"\n", data)[:4].hex() == ident, "bad key " + text)
    return name, bytes.fromhex(ident), kind, data[1:]
def opened(note, keys):
    """Return the text of a signed note and the keys that signed it: every line must be a valid one by one of the keys."""
    text, _, lines = note.rpartition("\n\n")
    need(text and lines[-1:] == "\n" and len(raw(note)) < 65536 and not re.search("[\0-\x09\x0b-\x1f\ud800-\udfff]", note), "not a note")
    by = []
    for line in lines[:-1].split("\n"):
        dash, name, b64 = line.split(" ")
        data = unbase(b64)
        key = next((k for k in keys if (dash, name, data[:4]) == ("\u2014", k[0], k[1]) and k not in by), None)
        need(key, "a signature line twice, or by a key that is not known: " + name)
        msg, sig, time = raw(text + "\n"), data[4:], int.from_bytes(data[4:12], "big")
        if key[2] == 4: msg, sig = b"cosignature/v1\ntime %d\n" % time + msg, sig[8:] if time < 2**63 else b""
        need(len(sig) == 64 and ed25519(key[3], msg, sig), "bad signature of " + name)
        by.append(key)
    return need(len(by) <= 64, "too many signatures") or (text + "\n", by)
def lies(leaf, index, size, path, root):
    """Whether a leaf lies under a root (RFC 9162, section 2.1.3.2)."""
    fn, sn, r = index, size - 1, sha(b"\0", leaf)
    for p in (unbase(line, 32) for line in path):
        r = sha(b"\1", p, r) if fn & 1 or fn == sn else sha(b"\1", r, p)
        while fn == sn and not fn & 1 and fn: fn, sn = fn >> 1, sn >> 1
        need(sn, "path too long")
        fn, sn = fn >> 1, sn >> 1
    return index < size < 2**62 and sn == 0 and r == unbase(root, 32)

def policy_of(text):
    need(0 < len(raw(text)) <= 65536 and text[-1] == "\n", "policy: empty, too long, or without its last line feed")
    keys, votes, used, quorum = [], {}, set(), None  # votes: name -> (how many are needed, of which keys or names)
    for w in (line.split(" ") for line in text[:-1].split("\n") if line[:1] not in ("", "#")):
        need(all(w) and not re.search("[\0-\x1f\x7f\ufffd\ud800-\udfff]", "".join(w)), "policy: fields are separated by one space")
        if w[0] == "log" and len(w) in (2, 3): keys.append(vkey(w[1], 1))
        elif w[0] == "witness" and len(w) in (3, 4): keys.append(vkey(w[2], 4))
        elif w[0] == "group" and len(w) > 3:
            need(all(m in votes and m not in used and not used.add(m) for m in w[3:]), "policy: group member unknown, or in a group already")
        else: need(w[0] == "quorum" and len(w) == 2 and quorum is None and (w[1] in votes or w[1] == "none"), "policy: bad line")
        if w[0] == "quorum": quorum = w[1]
        elif w[0] != "log":
            k = 1 if w[0] == "witness" or w[2] == "any" else len(w) - 3 if w[2] == "all" else int(re.fullmatch("[1-9][0-9]*", w[2])[0])
            need(w[1] not in votes and w[1] != "none" and (w[0] == "witness" or k <= len(w) - 3), "policy: name taken, or bad threshold")
            votes[w[1]] = k, (w[3:] if w[0] == "group" else [keys[-1]])
    need(quorum and any(k[2] == 1 for k in keys) and len({k[3] for k in keys}) == len(keys), "policy: no log, no quorum, or a key twice")
    return keys, lambda by: quorum == "none" or holds(votes, quorum, by)
def holds(votes, name, by): return sum(m in by if isinstance(m, tuple) else holds(votes, m, by) for m in votes[name][1]) >= votes[name][0]
N, V = "(0|[1-9][0-9]{0,19})", "([^\n]+)"
ATTEST = f"concord/tx/v1 attest\nchain {V}\nfrom {V}\nseq {N}\ncount {N}\nroot {V}\nspan {N} {N}\nprev {V}\n"
ADMIT = f"concord/tx/v1 gov\nchain {V}\nepoch {V}\nadmit {V}\nop {V}\ncosign {V}\nlog {V}\ncons {V}\nnode {V}\n(?:url {V}\n)?"
ROTATE = f"concord/tx/v1 gov\nchain {V}\nepoch {V}\nrotate ([^ \n]+) op {V}\n"
ENTRY = f"entry (\\S+) {N} ([1-9][0-9][0-9]) (\\S+) (\\S+) ([^ \n]*) (\\S+) ([^\0-\x20\x7f]+)"
DOC = f"concord/tx/v1 doc\nchain {V}\nfrom {V}\nseq {N}\n((?:sha256 [^\n]+\n)+)(?:label {V}\n)?"
RECORD = f"concord/block/v1\nheight {N}\nhash {V}\ntime {N}\nafter {V}\ntxs {N}\n(?:.+\n)*"
PAPER = f"concord/document/v1\nsha256 {V}(?:\nsalt {V})?(?:\nrecord {N} {N}((?:\n.+)*))?"
def fields(pattern, text): return (re.fullmatch(pattern, text) or need(False, "not in canonical form: " + text[:60])).groups()

def vouched(admit, operator, chain, keys):
    """Return the op key that an admission, or a rotation of it, names; a cosigning key of the operator that the policy lists signed the text."""
    text = admit.split("\n\n")[0] + "\n"
    if "\nrotate " in text: home, _, admitted, op = fields(ROTATE, text)
    else:
        home, _, admitted, op, cosign, _, cons, _, _ = fields(ADMIT, text)
        need(vkey(cosign, 4)[0] == admitted and unbase(cons, 32), "keys of another operator")
    op = vkey(op, 1)
    need(admitted == operator == op[0] and home.split(":")[0] == chain.split(":")[0], "keys of another operator or chain")
    need(len(opened(admit, [k for k in keys if k[2] == 4 and k[0] == operator])[1]) == 1, "the policy has no witness that vouches for the operator's key")
    return op
def headed(checkpoint, keys, quorum):
    text, by = opened(checkpoint, keys)
    origin, size, top = fields(f"{V}\n{N}\n{V}\n", text)
    need(named(origin) and any(k[2] == 1 and k[0] == origin for k in by), "no log of the policy signed")
    need(quorum(by), "too few witnesses cosigned")
    return origin, size, top

def document(proof, policy):
    """Return (digest of the document, operator, time of its block or None, entries, origin) of a document's receipt, or of a promise of one."""
    need(len(proof) <= 65536, "too long")
    keys, quorum = policy_of(policy.decode("utf-8", "surrogateescape"))
    extra, index, path, checkpoint = proof.decode("utf-8", "surrogateescape"), None, [], ""
    if not extra.startswith("concord/document/"):
        head, cut, checkpoint = extra.partition("\n\n")
        extra, index, path = fields(f"c2sp\\.org/tlog-proof@v1\nextra {V}\nindex {N}((?:\n.+)*)", head)
        extra, path = unbase(extra).decode("utf-8", "surrogateescape"), path.split("\n")[1:]
        need(cut, "not a receipt")
    blocks = extra.split("\n\n")
    need(len(blocks) == (5 if index is None else 6), "not a receipt of a document")
    digest, salt, at, shared, own = fields(PAPER, blocks[0])
    need((at is None) == (index is None) and any(unbase(digest, 32)) and (salt is None or any(unbase(salt, 32))), "a promise has no record, and a receipt has one")
    noted = digest if salt is None else base64.b64encode(sha(unbase(salt, 32), unbase(digest, 32))).decode()
    note, admit = blocks[-4] + "\n\n" + blocks[-3] + "\n", blocks[-2] + "\n\n" + blocks[-1]
    chain, operator, seq, digests, _ = fields(DOC, blocks[-4] + "\n")
    need("sha256 " + noted in digests.split("\n") and all(any(unbase(d[7:], 32)) for d in digests.split("\n")[:-1]) and int(seq) < 2**64, "the note does not hold this document")
    opened(note, [vouched(admit, operator, chain, keys)])
    if index is None: return need(seq == "0", "a promise has seq 0") or (digest, operator, None, 0, "")
    record, own, shared = blocks[1] + "\n", own.split("\n")[1:], int(shared)
    _, _, time, _, txs = fields(RECORD, record)
    origin, size, top = headed(checkpoint, keys, quorum)
    need(shared <= len(path) and (not own or shared == len(path) or own[-1] != path[-1 - shared]), "the paths share another number of hashes")
    need(lies(raw(note), int(index), int(size), path, top), "the note is not in the log")
    need(0 < int(at) - int(index) <= int(txs) and lies(raw(record), int(at), int(size), own + path[len(path) - shared:], top), "the record is not that of the note's block")
    return digest, operator, int(time), int(size), origin

def verify(proof, policy):
    """Return (fields of the entry, operator, entries, origin). A receipt that proves nothing is a ValueError or the like."""
    need(len(proof) <= 65536, "too long")
    keys, quorum = policy_of(policy.decode("utf-8", "surrogateescape"))
    head, cut, checkpoint = proof.decode("utf-8", "surrogateescape").partition("\n\n")
    extra, index, path = fields(f"c2sp\\.org/tlog-proof@v1\nextra {V}\nindex {N}((?:\n.+)*)", head)
    blocks = unbase(extra).decode("utf-8", "surrogateescape").split("\n\n")
    need(cut and len(blocks) == 5, "not a receipt")
    line, at, count, batch = fields(f"concord/receipt/v1\n{V}\nbatch {N} {N}((?:\n.+)*)", blocks[0])
    entry, attest, admit = fields(ENTRY, line), blocks[1] + "\n\n" + blocks[2] + "\n", blocks[3] + "\n\n" + blocks[4]
    need(entry[4:6] == ("-", "-") or any(unbase(entry[4], 32)), "no canonical digest of the text")
    chain, operator, seq, captures, root, first, last, prev = fields(ATTEST, blocks[1] + "\n")
    for text, size in (entry[0], 16), (entry[3], 32), (entry[6], 32), (prev, 32): unbase(text, size)
    need(count == captures != "0" and int(seq) < 2**64 and int(first) <= int(entry[1]) <= int(last) < 2**63, "another batch, or outside its span of time")
    need(lies(raw(line), int(at), int(count), batch.split("\n")[1:], root), "the entry is not in the batch")
    opened(attest, [vouched(admit, operator, chain, keys)])
    origin, size, top = headed(checkpoint, keys, quorum)
    need(lies(raw(attest), int(index), int(size), path.split("\n")[1:], top), "the attestation is not in the log")
    return entry, operator, int(size), origin

if __name__ == "__main__":
    files = [open(name, "rb").read() for name in sys.argv[1:]]
    try:
        paper = files[0].startswith(b"concord/document/") or unbase(files[0].split(b"\n")[1][6:].decode()).startswith(b"concord/document/")
        out = (document if paper else verify)(*files[:2])
        need(len(files) < 3 or sha(files[2]) == unbase(out[0] if paper else out[0][3]), "the body or document is another one")
    except Exception as why: sys.exit(f"not proven: {why}")
    if paper: print("proven:" if out[2] else "promised:", out[0], "by", out[1], "at", out[2], "under", out[3], "entries of", out[4])
    else: print("proven:", out[0][7], "by", out[1], "at", out[0][1], "under", out[2], "entries of", out[3])
