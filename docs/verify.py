#!/usr/bin/env python3
"""Verify a receipt: verify.py RECEIPT POLICY [BODY, DOCUMENT or a panel's OUTCOME]. Written from receipt/FORMAT.md; Python's standard library only."""
import base64, hashlib, re, sys

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
ATTEST = f"concord/tx/v1 attest\nchain {V}\nfrom {V}\nseq {N}\ncount {N}\nroot {V}\nspan {N} {N}\nprev {V}\n"
ADMIT = f"concord/tx/v1 gov\nchain {V}\nepoch {V}\nadmit {V}\nop {V}\ncosign {V}\nlog {V}\ncons {V}\nnode {V}\n(?:url {V}\n)?"
ROTATE = f"concord/tx/v1 gov\nchain {V}\nepoch {V}\nrotate ([^ \n]+) op {V}\n"
ENTRY = f"entry (\\S+) {N} ([1-9][0-9][0-9]) (\\S+) (\\S+) ([^ \n]*) (\\S+) ([^\0-\x20\x7f]+)"
DOC = f"concord/tx/v1 doc\nchain {V}\nfrom {V}\nseq {N}\n((?:sha256 [^\n]+\n)+)(?:label {V}\n)?"
RECORD = f"concord/block/v1\nheight {N}\nhash {V}\ntime {N}\nafter {V}\ntxs {N}\n(?:.+\n)*"
ASK = f"from {V}\nurl {V}\nprofile {V}\nneed {N} of {N}\nuntil {N}\npay {N}\nlocked {N}\n((?:.+\n)+)"
ROUND = f"round {N} {N} {V}\n((?:(?!result ).+\n)*)(?:result (agree|disputed|split|unconfirmed) {W}\n)?"
SEAT = f"seat {W} {W} {W} {W}\n(?:report {N} {N} {W} {W}\n)?(forfeit yes\n)?"
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
    need(len(opened(admit, [k for k in keys[0] if k[2] == 4 and k[0] == operator and k not in keys[1]])[1]) == 1, "the policy has no witness that vouches for the operator's key")
    return op
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

def panel(text, similar):
    """Return (seats, verdict) of one round of an ask. Each seat says how its report is against that of the reference."""
    _, _, beacon, inner, verdict, reference = fields(ROUND, text)
    seats, said = [fields(SEAT, s) for s in pieces("seat", inner)], []
    need(unbase(beacon, 32) and all(unbase(s[3], 32) and (s[4] is None or s[4] != "0" and int(s[5]) < 1000 and unbase(s[6], 32) and unbase(s[7], 64)) for s in seats), "no seat")
    best = next((s for s in seats if s[0] == reference), [None] * 9)
    for operator, asn, region, _, entry, status, digest, sketch, forfeit in seats:
        if not entry or not best[4]: relation = "silent"
        elif int(status) // 100 != int(best[5]) // 100: relation = "differ"
        elif digest == best[6]: relation = "agree"
        else: relation = "similar" if sum(a == b for a, b in zip(unbase(sketch), unbase(best[7]))) >= similar else "differ"
        said.append([operator, asn, region, relation, bool(forfeit), int(entry or 0), int(status or 0), digest or ""])
    return said, verdict
def pieces(word, text):
    first, *rest = re.split(f"(?m)^(?={word} )", text)
    return need(first == "", "not in canonical form: " + first[:60]) or rest

def outcome(proof, policy):
    """Return what a panel came to, and on which level that is proven, of the receipt of an outcome."""
    policy = policy_of(text_of(policy))
    extra, index, path, checkpoint = split(proof, 2 << 20)
    head, record, state = extra.split("\n\n", 2)
    (ask,), record, chain = fields(f"concord/outcome/v1\nask {N}", head), record + "\n", fields(f"concord/state/v1\nchain {V}\n(?s:.*)\n", raw(state).decode())[0]
    similar = int(fields(N, (re.findall("(?m)^param similar (.*)", state) or ["48"])[0])[0])
    text = re.split("(?m)^ask ", state.partition(f"\nask {ask}\n")[2])[0]
    asker, url, profile, wanted, of, _, _, _, rounds = fields(ASK, text)
    done = [panel(r, similar) for r in pieces("round", rounds)]
    need(similar and len(done) < 3 and done[-1][1] not in (None, "disputed") and all(v in (None, "disputed") for _, v in done[:-1]), "the ask is not closed")
    need(f"\nstate {base64.b64encode(sha(raw(state))).decode()}\n" in record, "the state is another than the block's")
    origin, size, top, level, _ = headed(checkpoint, policy)
    need(lies(raw(record), index, int(size), path, top), "the block record is not in the log")
    return {"ask": int(ask), "from": asker, "url": url, "profile": profile, "need": int(wanted), "of": int(of), "verdict": done[-1][1], "closed": int(fields(RECORD, record)[2]), "seats": done[-1][0],
            "earlier": done[0][0] if len(done) > 1 else [], "chain": chain, "origin": origin, "size": int(size), "level": max(level, 3) if level > 1 and done[-1][1] == "agree" else level}
def witnessed(capture, seen):
    """Return what a panel came to about the page of a capture, once that is proven to be the same page and text."""
    entry, same = capture[0], [s for s in seen["seats"] if s[3] == "agree" and s[7] == capture[0][4]]
    return need(same and (capture[4], entry[7], entry[5]) == (seen["chain"], seen["url"], seen["profile"]), "the panel looked at another page, or agreed on another text") or {**seen, "level": max(capture[5], 3) if seen["verdict"] == "agree" and min(seen["level"], capture[5]) > 1 else capture[5]}

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
