#!/usr/bin/env python3
"""Verify a receipt: verify.py RECEIPT POLICY [BODY]. Written from FORMAT.md; the standard library only."""
import base64, hashlib, sys

def fail(why): sys.exit("not proven: " + why)
def need(ok, why): ok or fail(why)
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()

def unbase(text):
    try: raw = base64.b64decode(text, validate=True)
    except Exception: fail("bad base64")
    need(base64.b64encode(raw).decode() == text, "base64 is not canonical")
    return raw

# Ed25519 (RFC 8032) in extended coordinates.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
def lift(y, odd):
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P: x = x * pow(2, (P - 1) // 4, P) % P
    if (v * x * x - u) % P or (x == 0 and odd): return None
    return P - x if x % 2 != odd else x
def point(b):
    n = int.from_bytes(b, "little"); y, odd = n & ~(1 << 255), n >> 255
    x = lift(y, odd) if y < P else None
    return None if x is None else (x, y, 1, x * y % P)
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)
def times(n, p):
    r = (0, 1, 1, 0)
    while n:
        if n & 1: r = add(r, p)
        p, n = add(p, p), n >> 1
    return r
BY = 4 * pow(5, P - 2, P) % P
BASE = (lift(BY, 0), BY, 1, lift(BY, 0) * BY % P)
def ed25519(key, msg, sig):
    a, r, s = point(key), point(sig[:32]), int.from_bytes(sig[32:], "little")
    if a is None or r is None or s >= L: return False
    k = int.from_bytes(hashlib.sha512(sig[:32] + key + msg).digest(), "little") % L
    left, right = times(s, BASE), add(r, times(k, a))
    return all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))

def vkey(text, kind):
    name, ident, b64 = text.split("+", 2)
    raw = unbase(b64)
    need(len(raw) == 33 and raw[0] == kind and sha(name.encode(), b"\n", raw)[:4].hex() == ident, "bad key " + text)
    return name, bytes.fromhex(ident), raw[1:]
def signed(note, key, kind):
    """Return whether the note has a valid line by the key; a bad line ends the program."""
    text, _, lines = note.rpartition("\n\n")
    name, ident, public = key
    for line in lines.splitlines():
        _, who, b64 = line.split(" ")
        raw = unbase(b64)
        if who != name or raw[:4] != ident: continue
        msg, sig = (text + "\n").encode(), raw[4:]
        if kind == 4: msg, sig = b"cosignature/v1\ntime %d\n" % int.from_bytes(sig[:8], "big") + msg, sig[8:]
        need(len(sig) == 64 and ed25519(public, msg, sig), "bad signature of " + name)
        return True
    return False

def root(leaf, index, size, path):
    """RFC 9162 section 2.1.3.2."""
    need(index < size, "index beyond size")
    fn, sn, r = index, size - 1, sha(b"\0", leaf)
    for p in path:
        need(sn, "path too long")
        if fn & 1 or fn == sn:
            r = sha(b"\1", p, r)
            while not fn & 1 and fn: fn, sn = fn >> 1, sn >> 1
        else: r = sha(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "path too short")
    return r

proof, policy = (open(f, encoding="utf-8", newline="").read() for f in sys.argv[1:3])
logs, witnesses, groups, quorum = [], {}, {}, None
for line in policy.splitlines():
    w = line.split(" ")
    if w[0] == "log": logs.append(vkey(w[1], 1))
    elif w[0] == "witness": witnesses[w[1]] = vkey(w[2], 4)
    elif w[0] == "group": groups[w[1]] = ({"all": len(w) - 3, "any": 1}.get(w[2]) or int(w[2]), w[3:])
    elif w[0] == "quorum": quorum = w[1]
head, _, checkpoint = proof.partition("\n\n")
head = head.split("\n")
need(head[0] == "c2sp.org/tlog-proof@v1" and head[1][:6] == "extra " and head[2][:6] == "index ", "not a receipt")
blocks = unbase(head[1][6:]).decode().split("\n\n")
need(len(blocks) == 5, "extra has not five blocks")
lines = blocks[0].split("\n")
need(lines[0] == "concord/receipt/v1" and lines[2][:6] == "batch ", "extra is not ours")
entry, (at, count) = lines[1].split(" "), map(int, lines[2][6:].split(" "))
attest, admit = blocks[1] + "\n\n" + blocks[2] + "\n", blocks[3] + "\n\n" + blocks[4]
att, adm = (dict(l.split(" ", 1) for l in b.split("\n")) for b in (blocks[1], blocks[3]))
need(att["concord/tx/v1"] == "attest" and adm["concord/tx/v1"] == "gov", "wrong transactions")
need(int(att["count"]) == count and att["from"] == adm["admit"], "parts of different batches or operators")
need(root(lines[1].encode(), at, count, [unbase(l) for l in lines[3:]]) == unbase(att["root"]), "the entry is not in the batch")
cosign = vkey(adm["cosign"], 4)
need(cosign in witnesses.values() and signed(admit, cosign, 4), "the operator's key is not vouched for")
need(signed(attest, vkey(adm["op"], 1), 1), "the attestation is not signed by the operator")
origin, size, top = checkpoint.split("\n")[:3]
need(any(k[0] == origin and signed(checkpoint, k, 1) for k in logs), "no log of the policy signed")
def holds(name):
    if name in witnesses: return signed(checkpoint, witnesses[name], 4)
    return sum(holds(m) for m in groups[name][1]) >= groups[name][0]
need(quorum == "none" or holds(quorum), "no quorum")
need(root(attest.encode(), int(head[2][6:]), int(size), [unbase(l) for l in head[3:]]) == unbase(top), "the attestation is not in the log")
if len(sys.argv) > 3: need(sha(open(sys.argv[3], "rb").read()) == unbase(entry[4]), "the body is another one")
print("proven:", entry[8], "by", att["from"], "at", entry[2], "under", size, "entries of", origin)
