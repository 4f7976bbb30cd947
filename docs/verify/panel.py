"""What a panel of witnesses came to, from the receipt of its outcome."""
import base64, re
from tlog import N, V, W, fields, headed, lies, need, policy_of, raw, sha, split, text_of, unbase

RECORD = f"concord/block/v1\nheight {N}\nhash {V}\ntime {N}\nafter {V}\ntxs {N}\n(?:.+\n)*"
ASK = f"from {V}\nurl {V}\nprofile {V}\nneed {N} of {N}\nuntil {N}\npay {N}\nlocked {N}\n((?:.+\n)+)"
ROUND = f"round {N} {N} {V}\n((?:(?!result ).+\n)*)(?:result (agree|disputed|split|unconfirmed) {W}\n)?"
SEAT = f"seat {W} {W} {W} {W}\n(?:report {N} {N} {W} {W}\n)?(forfeit yes\n)?"

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
