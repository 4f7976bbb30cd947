"""Signed notes, Merkle trees, policies and proofs of transparency logs, as C2SP and RFC 9162 have them; Ed25519 of RFC 8032. Python's standard library only."""
import base64, hashlib, re

def need(ok, why):
    if not ok: raise ValueError(why)
def sha(*parts): return hashlib.sha256(b"".join(parts)).digest()
def raw(text): return text.encode("utf-8", "surrogateescape")
def text_of(data): return data.decode("utf-8", "surrogateescape")
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
    """Return the text of a signed note and the keys that signed it, with the times of cosignatures: every line must be a valid one by one of the keys."""
    text, _, lines = note.rpartition("\n\n")
    need(text and lines[-1:] == "\n" and len(raw(note)) < 65536 and not re.search("[\0-\x09\x0b-\x1f\ud800-\udfff]", note), "not a note")
    by = {}
    for line in lines[:-1].split("\n"):
        dash, name, b64 = line.split(" ")
        data = unbase(b64)
        key = next((k for k in keys if (dash, name, data[:4]) == ("\u2014", k[0], k[1]) and k not in by), None)
        need(key, "a signature line twice, or by a key that is not known: " + name)
        msg, sig, time = raw(text + "\n"), data[4:], int.from_bytes(data[4:12], "big")
        if key[2] == 4: msg, sig = b"cosignature/v1\ntime %d\n" % time + msg, sig[8:] if time < 2**63 else b""
        need(len(sig) == 64 and ed25519(key[3], msg, sig), "bad signature of " + name)
        by[key] = time
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
    outside = below(votes, "outside") if "outside" in votes else []  # witnesses that are no operators of the ledger
    return keys, outside, lambda by: quorum == "none" or holds(votes, quorum, by), lambda by: bool(outside) and holds(votes, "outside", by)
def below(votes, name): return [k for m in votes[name][1] for k in ([m] if isinstance(m, tuple) else below(votes, m))]
def holds(votes, name, by): return sum(m in by if isinstance(m, tuple) else holds(votes, m, by) for m in votes[name][1]) >= votes[name][0]
N, V, W = "(0|[1-9][0-9]{0,19})", "([^\n]+)", "([^ \n]+)"
def fields(pattern, text): return (re.fullmatch(pattern, text) or need(False, "not in canonical form: " + text[:60])).groups()

def headed(checkpoint, policy):
    """Return origin, size and root of a checkpoint, and in words who cosigned it."""
    keys, outside, quorum, anchored = policy
    text, by = opened(checkpoint, keys)
    origin, size, top = fields(f"{V}\n{N}\n{V}\n", text)
    need(named(origin) and any(k[2] == 1 and k[0] == origin for k in by), "no log of the policy signed")
    need(quorum(by), "too few witnesses cosigned")
    own, others = [k for k in keys if k[2] == 4 and k not in outside], [f"{k[0]} at {by[k]}" for k in outside if k in by]
    k = sum(w in by for w in own)
    return origin, size, top, 1 if k < 2 else 4 if anchored(by) else 2, f"{k} of {len(own)} operators" + (f", and from outside by {', '.join(others)}" if others else "")
def split(proof, limit=65536):
    need(len(proof) <= limit, "too long")
    head, cut, checkpoint = text_of(proof).partition("\n\n")
    extra, index, path = fields(f"c2sp\\.org/tlog-proof@v1\nextra {V}\nindex {N}((?:\n.+)*)", head)
    return need(cut, "not a receipt") or (text_of(unbase(extra)), int(index), path.split("\n")[1:], checkpoint)
