// Verifies receipts of captures, of documents and of what panels came to, and proofs of single entries of the ledger, in the browser, offline: nothing leaves the page. Written from
// receipt/FORMAT.md; hashes and signatures are the browser's own (WebCrypto: SHA-256, Ed25519). Texts are kept as strings of bytes,
// one character each. What is proven and what is not is said in the words of package receipt.
"use strict";
(() => {
  const need = (ok, why) => { if (!ok) throw new Error(why); };
  const bytes = (s) => Uint8Array.from(s, (c) => c.charCodeAt(0));
  const text = (b) => { let s = ""; for (let i = 0; i < b.length; i += 8192) s += String.fromCharCode(...b.subarray(i, i + 8192)); return s; };
  const utf8 = (s) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes(s)); // throws when it is none
  const words = (s) => new TextDecoder().decode(bytes(s));
  const show = (s) => words(s).slice(0, 200);
  const sha = async (s) => text(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes(s))));
  const hex = (s) => Array.from(s, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  const unbase = (s, size) => {
    let raw;
    try { raw = atob(s); } catch { need(false, "bad base64"); }
    need(btoa(raw) === s && (size === undefined || raw.length === size), "base64 is not canonical, or not of this size");
    return raw;
  };
  const cut = (s, sep) => { const i = s.indexOf(sep); return i < 0 ? [s, undefined] : [s.slice(0, i), s.slice(i + sep.length)]; };
  const DASH = "\xe2\x80\x94 "; // an em dash in UTF-8, and a space

  // number reads a decimal number below limit (a BigInt) in its one form.
  const number = (s, limit) => {
    need(/^(0|[1-9][0-9]{0,19})$/.test(s) && BigInt(s) < limit, "not a number: " + show(s));
    return BigInt(s);
  };
  const SIZES = 1n << 62n, SECONDS = 1n << 63n, COUNTS = 1n << 64n;

  const named = (s) => s !== "" && s.length <= 255 && !/[\0-\x20\x7f+\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/.test(utf8(s));
  const vkey = async (s, type) => {
    const [name, rest] = cut(s, "+"), [id, b64] = cut(rest ?? "", "+"), data = unbase(b64 ?? "", 33);
    need(named(name) && data.charCodeAt(0) === type && hex((await sha(name + "\n" + data)).slice(0, 4)) === id, "bad key " + show(s));
    return { name, type, id: (await sha(name + "\n" + data)).slice(0, 4), key: data.slice(1), line: s };
  };

  // ed25519 says whether a signature is valid. L is the order of the group: a second form of a signature is none.
  const L = (1n << 252n) + 27742317777372353535851937790883648493n;
  const ed25519 = async (key, msg, sig) => {
    if (sig.length !== 64 || BigInt("0x" + hex(Array.from(sig.slice(32)).reverse().join(""))) >= L) return false;
    const k = await crypto.subtle.importKey("raw", bytes(key), { name: "Ed25519" }, false, ["verify"]);
    return crypto.subtle.verify({ name: "Ed25519" }, k, bytes(sig), bytes(msg));
  };

  // opened returns the text of a signed note, the keys that signed it, and the time of each cosignature. Every line must be
  // a valid one by one of the keys.
  const opened = async (note, keys) => {
    const at = note.lastIndexOf("\n\n"), lines = note.slice(at + 2).split("\n"), signed = note.slice(0, at + 1);
    need(at > 0 && lines.length > 1 && lines.pop() === "" && note.length < 65536 && lines.length <= 64 && !/[\0-\x09\x0b-\x1f]/.test(note), "not a signed note");
    utf8(note);
    const by = new Map();
    for (const line of lines) {
      const [name, b64] = cut(line.slice(DASH.length), " "), data = unbase(b64 ?? "");
      const key = keys.find((k) => k.name === name && k.id === data.slice(0, 4));
      need(line.startsWith(DASH) && key && !by.has(key), "a signature line twice, or by a key that the policy does not have: " + show(name));
      let sig = data.slice(4), msg = signed, time = 0n;
      if (key.type === 4) {
        time = BigInt("0x0" + hex(sig.slice(0, 8)));
        msg = "cosignature/v1\ntime " + time + "\n" + signed;
        sig = sig.slice(8);
      }
      need(time < SECONDS && await ed25519(key.key, msg, sig), "bad signature of " + show(name));
      by.set(key, time);
    }
    return { text: signed, by };
  };

  // lies checks that a leaf lies under a root (RFC 9162, section 2.1.3.2).
  const lies = async (leaf, index, size, path, root) => {
    let fn = index, sn = size - 1n, r = await sha("\0" + leaf);
    if (index >= size) return false;
    for (const line of path) {
      const p = unbase(line, 32);
      if (sn === 0n) return false;
      if (fn & 1n || fn === sn) {
        r = await sha("\x01" + p + r);
        while (!(fn & 1n) && fn) { fn >>= 1n; sn >>= 1n; }
      } else r = await sha("\x01" + r + p);
      fn >>= 1n; sn >>= 1n;
    }
    return sn === 0n && r === unbase(root, 32);
  };

  // policyOf reads a tlog-policy: its keys, and the rules that say whether those that signed are enough, and whether enough from outside did: those
  // of the group "outside" are no operators of the ledger.
  const policyOf = async (s) => {
    need(s !== "" && s.length <= 65536 && s.endsWith("\n"), "policy: it is empty, too long, or its last line does not end");
    const keys = [], votes = new Map(), used = new Set();
    let quorum;
    const define = (name, need1, of) => { need(!votes.has(name) && name !== "none", "policy: a name is taken"); votes.set(name, { need: need1, of }); };
    for (const line of s.slice(0, -1).split("\n")) {
      if (line === "" || line[0] === "#") continue;
      const w = line.split(" ");
      need(w.every((f) => f !== "" && !/[\0-\x20\x7f\ufffd]/.test(utf8(f))), "policy: fields must be separated by one space");
      if (w[0] === "log" && (w.length === 2 || w.length === 3)) keys.push(await vkey(w[1], 1));
      else if (w[0] === "witness" && (w.length === 3 || w.length === 4)) {
        keys.push(await vkey(w[2], 4));
        define(w[1], 1, [keys.at(-1)]);
      } else if (w[0] === "group" && w.length > 3) {
        const of = w.slice(3);
        for (const m of of) { need(votes.has(m) && !used.has(m), "policy: a member of a group is unknown, or in a group already"); used.add(m); }
        const k = w[2] === "all" ? of.length : w[2] === "any" ? 1 : Number(number(w[2], COUNTS));
        need(k >= 1 && k <= of.length, "policy: bad threshold");
        define(w[1], k, of);
      } else {
        need(w[0] === "quorum" && w.length === 2 && quorum === undefined && (votes.has(w[1]) || w[1] === "none"), "policy: bad line " + show(line));
        quorum = w[1];
      }
    }
    need(quorum !== undefined && keys.some((k) => k.type === 1) && new Set(keys.map((k) => k.key)).size === keys.length, "policy: no log, no quorum, or a key twice");
    const holds = (name, by) => votes.get(name).of.filter((m) => typeof m === "string" ? holds(m, by) : by.has(m)).length >= votes.get(name).need;
    const below = (name) => votes.get(name).of.flatMap((m) => typeof m === "string" ? below(m) : [m]), outside = votes.has("outside") ? below("outside") : [];
    return { keys, outside, operators: keys.filter((k) => k.type === 4 && !outside.includes(k)),
      satisfied: (by) => quorum === "none" || holds(quorum, by), anchored: (by) => outside.length > 0 && holds("outside", by) };
  };

  // fields returns the values of lines that begin with these words, in this order.
  const fields = (s, words, optional) => {
    const lines = s.split("\n");
    if (optional && lines.length === words.length + 1) words = [...words, optional];
    need(lines.length === words.length && lines.every((l, i) => l.startsWith(words[i] + " ") && l.length > words[i].length + 1), "not in canonical form: " + show(lines[0]));
    return lines.map((l, i) => l.slice(words[i].length + 1));
  };
  const path = (lines) => { need(lines.length <= 62, "a path is too long"); for (const l of lines) unbase(l, 32); return lines; };

  const entryOf = (line) => {
    const f = line.split(" ");
    need(f.length === 9 && f[0] === "entry" && /^[1-9][0-9][0-9]$/.test(f[3]) && f[8] !== "" && !/[\0-\x20\x7f]/.test(f[8]), "the entry is not in canonical form");
    unbase(f[1], 16); unbase(f[4], 32); unbase(f[7], 32);
    need(f[5] === "-" ? f[6] === "-" : unbase(f[5], 32) !== "\0".repeat(32), "the entry's text is not in canonical form");
    return { time: number(f[2], SECONDS), status: f[3], raw: f[4], text: f[5] === "-" ? "" : f[5], profile: f[6], record: f[7], url: f[8] };
  };

  const when = (t) => t > 253402300799n ? t + " s" : new Date(Number(t) * 1000).toISOString().replace(".000Z", "Z");
  const NEVER = -62135596800n; // as Go writes no time
  const labelled = (b64) => "sha256:" + hex(atob(b64));

  // headOf checks a checkpoint against a policy: a log of it signed, and a quorum of its witnesses cosigned.
  const headOf = async (checkpoint, pol) => {
    const { text: headText, by } = await opened(checkpoint, pol.keys), [origin, n, root, end] = headText.split("\n");
    need(end === "" && headText.split("\n").length === 4 && named(origin), "the checkpoint is not three lines");
    const size = number(n, SIZES), signed = [...by.keys()], timed = (list) => signed.filter((k) => list.includes(k)).map((k) => ({ name: words(k.name), time: by.get(k) }));
    const cosigned = timed(pol.operators), anchors = timed(pol.outside);
    unbase(root, 32);
    need(signed.some((k) => k.type === 1 && k.name === origin), "no log of the policy signed the checkpoint");
    need(pol.satisfied(by), "too few witnesses of the policy cosigned");
    const anchored = pol.anchored(by), first = earliest([...cosigned, ...anchors]);
    return { log: words(origin), size, root, cosigned, k: cosigned.length, n: pol.operators.length, notAfter: first?.time, notAfterBy: first?.name,
      anchors, anchored, level: cosigned.length < 2 ? 1 : anchored ? 4 : 2 };
  };
  const earliest = (list) => list.reduce((a, c) => a === undefined || c.time < a.time ? c : a, undefined);
  const listed = (list) => list.map((c) => c.name).join(", ");
  const namesOf = (h) => listed(h.cosigned) || "the log";
  // by is the upper end of the time bracket; it is said whose clock gave it when that is none of an operator.
  const by = (h) => h.notAfter === undefined ? when(NEVER) : when(h.notAfter) + (h.anchors.length && !(earliest(h.cosigned)?.time <= h.notAfter) ? ", by the clock of " + h.notAfterBy : "");
  const anchoredBy = (h) => h.anchors.length === 0 ? [] : ["From outside, as no operator of this ledger, " + listed(h.anchors) + " cosigned the same head: no other history of the log was shown there, and this one was by " +
    when(earliest(h.anchors).time) + ", by the clock of " + earliest(h.anchors).name + "." + (h.anchored ? "" : " The policy asks for more of them before it calls that anchored.")];
  const cosignedBy = (h) => h.k === 0 ? "The log's own key signed the head of " + h.size + " entries; the policy asks for no cosigner."
    : h.k + " of " + h.n + " witnesses of the policy (" + namesOf(h) + ") cosigned the head of " + h.size + " entries that holds it, the first of them at " + when(earliest(h.cosigned).time) + ".";
  const collusion = (h) => h.anchored ? (h.k < 2 ? "That the log was not rewritten before " + earliest(h.anchors).name + " saw it, and that it does not work together with " + namesOf(h) + "."
    : "That these " + h.k + " cosigners and " + listed(h.anchors) + " do not all work together.") : h.k < 2 ? "That the log was not rewritten before anyone else saw it: only " + namesOf(h) + " signed this head. Keep the receipt, or have others cosign."
    : "That these " + h.k + " cosigners do not work together.";
  const KEPT = "it cannot be changed or taken out without breaking the log for everybody who holds a later checkpoint.";

  // split takes a tlog-proof file apart; extra is undefined in the proof of a single entry.
  const split = (proof) => {
    need(proof.length <= (isOutcome(proof) ? 2 << 20 : 65536), "too long for a receipt");
    const [head, checkpoint] = cut(proof, "\n\n"), h = head.split("\n");
    need(checkpoint !== undefined && h[0] === "c2sp.org/tlog-proof@v1", "not a receipt");
    const extra = (h[1] ?? "").startsWith("extra ") ? unbase(h.splice(1, 1)[0].slice(6)) : undefined;
    need((h[1] ?? "").startsWith("index "), "not a receipt");
    return { extra, index: number(h[1].slice(6), COUNTS), path: path(h.slice(2)), checkpoint };
  };

  const isOutcome = (proof) => proof.slice(0, 60).includes("\nextra " + btoa(OUTCOME)); // after the first line

  // check does what receipt.Verify does in Go; it throws what is wrong. The proof of a single entry is checked with the entry.
  const check = async (proof, policy, entry) => {
    const pol = await policyOf(policy);
    if (proof.startsWith(DOCUMENT)) return documentReport(pol, { extra: proof });
    if (proof.startsWith(CAPTURE)) return promiseReport(pol, proof);
    const p = split(proof);
    if (p.extra === undefined) {
      need(entry !== undefined, "this is the proof of an entry of the log and no receipt: give the entry's own text with it");
      return entryReport(await headOf(p.checkpoint, pol), p, entry);
    }
    return p.extra.startsWith(DOCUMENT) ? documentReport(pol, p) : p.extra.startsWith(OUTCOME) ? outcomeReport(pol, p) : captureReport(pol, p);
  };

  // keyOf returns the op key of an operator on a chain, for which a cosigning key of the policy vouches in an admission.
  const keyOf = async (pol, admit, from, chain) => {
    const text = cut(admit, "\n\n")[0];
    let gov, home, admitted, opKey; // the text that admitted the operator, or a later one that changed its op key
    if (text.includes("\nrotate ")) {
      [gov, home, , admitted] = fields(text, ["concord/tx/v1", "chain", "epoch", "rotate"]);
      const w = admitted.split(" ");
      need(w.length === 3 && w[1] === "op", "its parts are other transactions");
      [admitted, , opKey] = w;
    } else {
      let cosignKey, cons;
      [gov, home, , admitted, opKey, cosignKey, , cons] = fields(text, ["concord/tx/v1", "chain", "epoch", "admit", "op", "cosign", "log", "cons", "node"], "url");
      unbase(cons, 32);
      need((await vkey(cosignKey, 4)).name === admitted, "the keys are those of another operator");
    }
    const op = await vkey(opKey, 1), vouching = pol.operators.filter((k) => k.name === from);
    need(gov === "gov" && admitted === from && op.name === from && cut(home, ":")[0] === cut(chain, ":")[0], "the keys are those of another operator or chain");
    need((await opened(admit, vouching)).by.size === 1, "the policy does not have the key that vouches for the operator");
    return op;
  };

  // blockOf reads what a receipt needs of a block's record.
  const blockOf = (record) => {
    const lines = record.split("\n"), value = (line, word) => { need(line.startsWith(word + " "), "not a block record"); return line.slice(word.length + 1); };
    need(lines[0] === "concord/block/v1" && lines.length >= 8, "not a block record");
    return { height: number(value(lines[1], "height"), SECONDS), time: number(value(lines[3], "time"), SECONDS), txs: number(value(lines[5], "txs"), COUNTS) };
  };

  // documentReport is of a notarised document: its receipt, or, without a checkpoint, the promise of one.
  const CAPTURE = "concord/receipt/v1\n", DOCUMENT = "concord/document/v1\n", OUTCOME = "concord/outcome/v1"; // 18 bytes, so that its base64 does not depend on what follows
  const documentReport = async (pol, p) => {
    const promise = p.checkpoint === undefined, blocks = p.extra.split("\n\n");
    need(p.extra.length <= 65536 && blocks.length === (promise ? 5 : 6), "not the receipt of a document");
    const lines = blocks.shift().split("\n").slice(1), digest = (line, word) => {
      need((line ?? "").startsWith(word + " ") && unbase(line.slice(word.length + 1), 32) !== "\0".repeat(32), "no digest: " + show(line ?? ""));
      return line.slice(word.length + 1);
    };
    const file = digest(lines.shift(), "sha256"), salt = (lines[0] ?? "").startsWith("salt ") ? digest(lines.shift(), "salt") : "";
    const place = promise ? [] : (lines.shift() ?? "").split(" "), record = promise ? "" : blocks.shift() + "\n";
    need(promise ? lines.length === 0 : place.length === 3 && place[0] === "record", "the place of the block record is not in canonical form");
    const noted = blocks[0] + "\n\n" + blocks[1] + "\n", admit = blocks[2] + "\n\n" + blocks[3];
    const note = blocks[0].split("\n"), label = note.at(-1).startsWith("label ") ? note.pop().slice(6) : "", digests = note.slice(4).map((l) => digest(l, "sha256"));
    const [kind, chain, from, seq] = fields(note.slice(0, 4).join("\n"), ["concord/tx/v1", "chain", "from", "seq"]);
    need(kind === "doc" && digests.includes(salt ? btoa(await sha(atob(salt) + atob(file))) : file), "the note does not hold the digest of this document");
    await opened(noted, [await keyOf(pol, admit, from, chain)]);
    const r = { operator: words(from), chain: words(chain), seq: number(seq, COUNTS), n: pol.operators.length, k: 0, level: 0, cosigned: [],
      document: { sha256: file, salted: salt !== "", label: words(label), documents: digests.length } };
    const what = r.operator + " notarised a document with SHA-256 " + labelled(file) + (salt ? "; what it made public is that digest salted, and the salt is in this receipt" : "") +
      (label ? " (label " + JSON.stringify(words(label)) + ")" : "") + ".";
    const open = ["That what the document says is true, or who wrote it.", "That nobody notarised the same document earlier: the log would show it, this receipt does not.",
      "That the document did not exist long before."];
    if (promise) {
      need(r.seq === 0n, "a promise has seq 0");
      return { ...r, proven: [what, waits(r)], notProven: [PROMISE, ...open] };
    }
    const h = await headOf(p.checkpoint, pol), at = number(place[1], COUNTS), shared = Number(number(place[2], 63n)), own = path(lines), end = p.path.slice(p.path.length - shared);
    need(shared <= p.path.length && (own.length === 0 || own.at(-1) !== p.path[p.path.length - 1 - shared]), "the paths do not share so many hashes");
    need(await lies(noted, p.index, h.size, p.path, h.root), "the note does not lie under the checkpoint");
    const block = blockOf(record);
    need(at > p.index && at - p.index <= block.txs, "the record is not that of the note's block");
    need(await lies(record, at, h.size, [...own, ...end], h.root), "the block record does not lie under the checkpoint");
    r.notBefore = block.time;
    r.document.height = block.height;
    Object.assign(r, h, { index: p.index });
    r.proven = [what, "The note is entry " + r.index + " of the log " + r.log + ", in block " + r.document.height + "; " + KEPT, cosignedBy(h), ...anchoredBy(h)];
    if (h.notAfter !== undefined) r.proven.push("So the document existed, and the note was put into the log between " + when(r.notBefore) + ", the block's time, and " + by(h) + ", the first cosigner's.");
    r.notProven = [...open, "The exact time: a block's time may lag on a quiet ledger, and each cosigner goes by its own clock.", collusion(h)];
    return r;
  };

  // outcomeReport is of what a panel came to: the ask stands in the ledger's state, of which a block record has the hash.
  const VISITOR = "That every visitor was shown the same page: this is what one operator's machine was sent.", ALONE = "That the operator told the truth: nobody else fetched the page for this receipt.",
    PANEL = "That every visitor was shown the same page: this is what the machines of these operators were sent.";
  const outcomeReport = async (pol, p) => {
    const [head, rest] = cut(p.extra, "\n\n"), [block, state] = cut(rest ?? "", "\n\n"), record = block + "\n";
    const [, asked] = head.match(/^concord\/outcome\/v1\nask (.+)$/) ?? need(false, "not the receipt of an outcome");
    const [, chain] = (state ?? "").match(/^concord\/state\/v1\nchain (.*)\n/) ?? need(false, "not the text of a state"), ask = number(asked, SECONDS);
    need(state.endsWith("\n"), "not the text of a state");
    utf8(state);
    const like = state.match(/^param similar (.*)$/m), similar = like ? number(like[1], SECONDS) : 48n;
    need(similar > 0n, "similar is a number from 1");
    const own = cut("\n" + (cut(state, "\nask " + ask + "\n")[1] ?? ""), "\nask ")[0].slice(1); // without the line feed, if another ask follows
    const lines = (own === "" || own.endsWith("\n") ? own : own + "\n").split("\n").slice(0, -1);
    const value = (key) => { need((lines[0] ?? "").startsWith(key + " ") && lines[0].length > key.length + 1, "want a line " + key + ", not " + show(lines[0] ?? "")); return lines.shift().slice(key.length + 1); };
    const parts = (key, n) => { const f = value(key).split(" "); need(f.length === n && !f.includes(""), key + " has not " + n + " fields"); return f; };
    const has = (key) => (lines[0] ?? "").startsWith(key + " "), count = (s) => Number(number(s, SECONDS));
    const round = () => {
      const [from, to, beacon] = parts("round", 3), seats = [];
      count(from); count(to); unbase(beacon, 32);
      while (has("seat")) {
        const [operator, asn, region, commit] = parts("seat", 4).map(words), s = { operator, asn, region, relation: "silent", forfeit: false, entry: 0, status: 0, text: "" };
        unbase(commit, 32);
        if (has("report")) {
          const [entry, status, digest, sketch] = parts("report", 4);
          Object.assign(s, { entry: count(entry), status: count(status), text: digest, sketch: unbase(sketch, 64) });
          need(unbase(digest, 32) && s.entry > 0 && s.status < 1000, "a report that cannot be");
        }
        if (has("forfeit")) s.forfeit = value("forfeit") === "yes" || need(false, "want forfeit yes");
        seats.push(s);
      }
      const [verdict, reference] = has("result") ? parts("result", 2) : [""], ref = seats.find((s) => s.operator === words(reference ?? ""));
      need(["", "agree", "disputed", "split", "unconfirmed"].includes(verdict), "no result is called " + show(verdict));
      for (const s of seats) {
        if (!s.entry || !ref?.entry) continue;
        const equal = Array.from(s.sketch).filter((c, i) => c === ref.sketch[i]).length;
        s.relation = Math.floor(s.status / 100) !== Math.floor(ref.status / 100) ? "differ" : s.text === ref.text ? "agree" : equal >= similar ? "similar" : "differ";
      }
      for (const s of seats) delete s.sketch;
      return { seats, verdict };
    };
    const from = words(value("from")), url = words(value("url")), profile = words(value("profile")), [least, of, panel] = parts("need", 3), rounds = [];
    for (const key of ["until", "pay", "locked"]) count(value(key));
    while (lines.length > 0 || rounds.length === 0) {
      need(rounds.length < 2 && ["", "disputed"].includes(rounds.at(-1)?.verdict ?? ""), "a round after the end");
      rounds.push(round());
    }
    const last = rounds.at(-1);
    need(of === "of" && !["", "disputed"].includes(last.verdict), "the ask is still open in it");
    need(record.includes("\nstate " + btoa(await sha(state)) + "\n"), "the state is not the one that the block record names");
    const closed = blockOf(record).time, h = await headOf(p.checkpoint, pol);
    need(await lies(record, p.index, h.size, p.path, h.root), "the block record does not lie under the checkpoint");
    const r = { ...h, operator: from, chain: words(chain), index: p.index, notBefore: closed,
      outcome: { ask, from, url, profile, need: count(least), of: count(panel), verdict: last.verdict, closed, seats: last.seats, earlier: rounds.length > 1 ? rounds[0].seats : [] } };
    if (h.level >= 2 && last.verdict === "agree") r.level = Math.max(h.level, 3);
    r.proven = [from + " asked for " + url + " to be witnessed (entry " + ask + " of the log " + h.log + "); the ledger drew a panel, each of which sealed what it saw before anybody opened it.",
      ...before(r.outcome), "It came to " + JSON.stringify(last.verdict) + " at " + when(closed) + ": " + saw(r.outcome, last.seats) + ".",
      "That is in the ledger's state, whose hash is in entry " + p.index + ".", cosignedBy(h), ...anchoredBy(h)];
    r.notProven = [TRUE, PANEL, "Where the operators' machines are: networks and regions are what the other operators observed.", collusion(h)];
    return r;
  };
  const saw = (o, seats) => {
    const names = (counts) => seats.filter((s) => s.operator !== o.from && counts(s)).map((s) => s.operator).join(", ");
    const of = (...relations) => names((s) => !s.forfeit && relations.includes(s.relation)) || "nobody", caught = names((s) => s.forfeit);
    return "the same or a similar text: " + of("agree", "similar") + "; another text: " + of("differ") + "; no report: " + of("silent") + (caught ? "; caught misbehaving, and not counted: " + caught : "");
  };
  const before = (o) => o.earlier.length === 0 ? [] : ["The first panel differed, so a second one was drawn. Of the first: " + saw(o, o.earlier) + "."];

  // witness adds what a panel came to about the page of a capture; it throws when that is another page or text.
  const witness = (r, panel) => {
    const o = panel.outcome;
    need(o && r.url !== undefined && panel.chain === r.chain, "it is no outcome for a capture on this ledger");
    need(o.url === r.url, "the panel looked at " + show(o.url) + ", the receipt is of " + show(r.url));
    need(r.text && o.profile === r.profile && o.seats.some((s) => s.relation === "agree" && s.text === r.text), "what the panel agreed on is another text than that of this capture");
    r.proven.push("A panel looked at the page as well, and came to " + JSON.stringify(o.verdict) + " at " + when(o.closed) + " on the text of this capture: " + saw(o, o.seats) + ".", ...before(o));
    r.notProven = [...r.notProven.filter((s) => s !== ALONE && s !== VISITOR), PANEL];
    if (o.verdict === "agree" && panel.level >= 2 && r.level >= 2) r.level = Math.max(r.level, 3);
    return r;
  };

  const entryReport = async (h, p, entry) => {
    need(await lies(entry, p.index, h.size, p.path, h.root), "this text is not entry " + p.index + " of the log, or does not lie under the checkpoint");
    return { ...h, index: p.index,
      proven: ["This text is entry " + p.index + " of the log " + h.log + "; " + KEPT, cosignedBy(h), ...anchoredBy(h)],
      notProven: ["That what the entry says is true.", "When it was put there: only that it was in the log by " + by(h) + ".", collusion(h)] };
  };

  const PROMISE = "When: it is not in the log yet, and nobody but the operator has signed anything. Get the receipt again when the ledger goes on.";
  const waits = (r) => "The operator's own key signed that; it waits to be put into the log of " + r.chain + ".";
  const stated = (r) => r.operator + " states that it fetched " + r.url + " at " + when(r.captured) + " and was answered with status " + r.status + " and a body with SHA-256 " + labelled(r.raw) + ".";
  const extracted = (r) => r.text ? ["The text it extracted, by the rules " + r.profile + ", has SHA-256 " + labelled(r.text) + "."] : [];
  const captured = (entry) => ({ url: words(entry.url), captured: entry.time, notBefore: entry.time, status: Number(entry.status), raw: entry.raw, text: entry.text, profile: words(entry.profile), record: entry.record });
  const TRUE = "That what the page says is true.", OPEN = ["Anything about the site's TLS certificate or network address.", "That a search result was ranked fairly."];

  // promiseReport is of the promise of a capture that is not in the log yet: the operator signed its leaf hash, as that of a document.
  const promiseReport = async (pol, proof) => {
    const blocks = proof.split("\n\n"), line = blocks[0].slice(CAPTURE.length), entry = entryOf(line);
    need(proof.length <= 65536 && blocks.length === 5, "not the promise of a capture");
    const [, chain, from] = fields(blocks[1], ["concord/tx/v1", "chain", "from", "seq", "sha256", "label"]);
    need(blocks[1] === "concord/tx/v1 doc\nchain " + chain + "\nfrom " + from + "\nseq 0\nsha256 " + btoa(await sha("\0" + line)) + "\nlabel capture", "the note is not the promise of this capture");
    await opened(blocks[1] + "\n\n" + blocks[2] + "\n", [await keyOf(pol, blocks[3] + "\n\n" + blocks[4], from, chain)]);
    const r = { ...captured(entry), operator: words(from), chain: words(chain), n: pol.operators.length, k: 0, level: 0, cosigned: [] };
    return { ...r, proven: [stated(r), waits(r), ...extracted(r)], notProven: [PROMISE, TRUE, VISITOR, ALONE, ...OPEN] };
  };

  const captureReport = async (pol, p) => {
    const blocks = p.extra.split("\n\n");
    need(blocks.length === 5, "not a receipt of ours");
    const b = blocks[0].split("\n"), place = (b[2] ?? "").split(" ");
    need(b[0] === "concord/receipt/v1" && place.length === 3 && place[0] === "batch", "not a receipt of ours");
    const entry = entryOf(b[1]), at = number(place[1], SIZES), count = number(place[2], SIZES), batchPath = path(b.slice(3));
    const attest = blocks[1] + "\n\n" + blocks[2] + "\n", admit = blocks[3] + "\n\n" + blocks[4];
    const [kind, chain, from, seq, captures, root, span, prev] = fields(blocks[1], ["concord/tx/v1", "chain", "from", "seq", "count", "root", "span", "prev"]);
    need(kind === "attest", "its parts are other transactions");
    number(seq, COUNTS); unbase(prev, 32);
    const times = span.split(" ").map((t) => number(t, SECONDS));
    need(times.length === 2 && times[0] <= entry.time && entry.time <= times[1], "the capture's time lies outside the attested span");
    need(count > 0n && number(captures, COUNTS) === count && await lies(b[1], at, count, batchPath, root), "the capture does not lie under the attested root");
    await opened(attest, [await keyOf(pol, admit, from, chain)]);
    const h = await headOf(p.checkpoint, pol);
    need(await lies(attest, p.index, h.size, p.path, h.root), "the attestation does not lie under the checkpoint");
    const r = { ...h, ...captured(entry), operator: words(from), chain: words(chain), seq: BigInt(seq), batch: count, index: p.index };
    r.proven = [stated(r),
      "The statement is entry " + r.index + " of the log " + r.log + ", in a batch of " + r.batch + " captures; " + KEPT, cosignedBy(h), ...anchoredBy(h), ...extracted(r)];
    r.notProven = [TRUE, VISITOR, ALONE,
      "The exact time: " + when(r.captured) + " is the operator's own clock. Cosigners say only that the statement was in the log by " + by(h) + ".",
      ...OPEN, collusion(h)];
    return r;
  };

  // able says why this browser cannot verify; empty: it can.
  const able = async () => {
    if (!globalThis.crypto?.subtle) return "This browser offers its cryptography only to pages from this machine or over HTTPS. Use “concord verify” instead.";
    try {
      await crypto.subtle.importKey("raw", new Uint8Array(32).fill(0x66).fill(0x58, 0, 1), { name: "Ed25519" }, false, ["verify"]);
      return "";
    } catch { return "This browser does not know Ed25519 signatures. Use a newer one, or “concord verify”."; }
  };

  // concordVerify checks a receipt against a policy, or the proof of an entry with its text; or a capture's receipt with what a panel came to. All are
  // Uint8Arrays. It never throws.
  globalThis.concordVerify = async (proof, policy, entry, panel) => {
    const cannot = await able();
    if (cannot) return { proven: false, able: false, reason: cannot };
    try {
      const report = await check(text(proof), text(policy), entry && text(entry));
      return { proven: true, able: true, report: panel ? witness(report, await check(text(panel), text(policy))) : report };
    } catch (e) { return { proven: false, able: true, reason: String(e.message || e) }; }
  };

  const make = (tag, content, name) => {
    const e = document.createElement(tag);
    if (name) e.className = name;
    e.append(...[content].flat());
    return e;
  };
  const report = async (out, proof, policy, body, panel) => {
    const r = await concordVerify(proof, policy, body, panel), f = r.report, parts = [];
    if (r.proven) {
      const others = [];
      const digest = f.raw ?? f.document?.sha256, kind = f.raw ? "body" : "document";
      if (body && f.outcome) {
        r.proven = false;
        others.push("NOT PROVEN: the receipt is of what a panel came to, not of a file.");
      } else if (body && digest) {
        r.proven = btoa(await sha(text(body))) === digest;
        others.push(r.proven ? "The file given is that " + kind + "." : "NOT PROVEN: the file given is another " + kind + ".");
      }
      parts.push(make("p", make("strong", r.proven ? "Proven, by your browser." : others.shift())),
        make("p", "Level " + f.level + (f.level === 0 ? ": promised by the operator alone; it is not in the log yet." : f.k ? ": cosigned by " + f.k + " of " + f.n + " witnesses of the policy" + (f.anchors.length ? ", and from outside by " + listed(f.anchors) : "") + (f.level === 3 ? ", and a panel of operators saw the same." : ".") : ": signed by the log alone.") +
          (f.notAfter === undefined ? "" : f.notBefore === undefined ? " It was there by " + when(f.notAfter) + "." :
            " Between " + when(f.notBefore) + (f.document || f.outcome ? ", the block's time, and " : ", by the operator's own clock, and ") + when(f.notAfter) + ", when the first witness cosigned.")),
        make("ul", [...others, ...f.proven].map((l) => make("li", l)), "proven"), make("p", "Not proven:"), make("ul", f.notProven.map((l) => make("li", l)), "unproven"));
    } else parts.push(make("p", r.able ? "NOT PROVEN: " + r.reason + "." : r.reason));
    out.className = "note " + (r.proven ? "good" : r.able ? "bad" : "warn");
    out.replaceChildren(...parts);
    out.dataset.verdict = r.proven ? "proven" : r.able ? "not proven" : "not able";
    out.hidden = false;
  };

  // attend makes a box on the page work. Boxes come with the page, or later, when a receipt has arrived.
  const attend = (box) => {
    const out = box.querySelector("[data-verdict]"), button = box.querySelector("button");
    const load = async (address) => {
      const answer = await fetch(address, { cache: "no-store" });
      need(answer.ok, "the node answered " + answer.status);
      return new Uint8Array(await answer.arrayBuffer());
    };
    const file = async (name) => {
      const f = box.querySelector("input[name=" + name + "]").files[0];
      return f && new Uint8Array(await f.arrayBuffer());
    };
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        if (box.dataset.receipt) {
          const entry = box.dataset.entry && await load(box.dataset.entry);
          if (entry) need(words(text(entry)) === document.querySelector("pre.note-text").textContent, "the node's entry is not the text that this page shows");
          await report(out, await load(box.dataset.receipt), await load(box.dataset.policy), entry);
        }
        else {
          const proof = await file("receipt"), policy = await file("policy");
          need(proof && policy, "choose a receipt and a policy");
          await report(out, proof, policy, await file("body"), await file("panel"));
        }
      } catch (e) {
        out.className = "note warn";
        out.textContent = "It could not be checked: " + (e.message || e) + ".";
        out.hidden = false;
      }
      button.disabled = false;
    });
    box.hidden = false;
  };
  const look = () => { for (const box of document.querySelectorAll("[data-verify][hidden]")) attend(box); };
  look();
  new MutationObserver(look).observe(document.getElementById("main"), { childList: true, subtree: true });
})();
