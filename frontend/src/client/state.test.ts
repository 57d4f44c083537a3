import Delta from 'quill-delta';
import { describe, expect, test } from 'vitest';
import { apply, diff, equalJSON, fromWire, inForm, newborn, split, textOf } from './form';
import * as replica from './state';
import { keep, restore } from './storage';

/** mulberry32: the same numbers for the same seed. */
function random(seed: number): (n: number) => number {
  let a = seed;
  return (n) => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * n);
  };
}

/** What the protocol asks of a server, over one document and without a network. */
class Server {
  content = newborn('rich');
  log: replica.Committed[] = [];

  lastSeq(client: string, v = this.log.length): number {
    return Math.max(
      0,
      ...this.log
        .slice(0, v)
        .filter((op) => op.c === client)
        .map((op) => op.seq),
    );
  }

  /** changes: an operation that the server stores otherwise, as after a repair. */
  submit(client: string, seq: number, v: number, ops: unknown): void {
    const last = this.lastSeq(client);
    if (seq <= last) return;
    if (seq !== last + 1) throw new Error(`bad_seq: ${client} sent ${seq} after ${last}`);
    let d = fromWire(structuredClone(ops));
    for (const op of this.log.slice(v)) d = fromWire(op.d).transform(d, true);
    this.content = apply(this.content, d);
    const size = textOf(this.content);
    if (!size.endsWith('\n') || /[\ud800-\udfff]/u.test(size)) throw new Error(`bad_op: ${JSON.stringify(d)}`);
    this.log.push({ c: client, seq, u: client, d: structuredClone(d.ops) });
  }

  origin(v: number): replica.Origin | null {
    const op = this.log[v - 1];
    return op ? [op.c, op.seq] : null;
  }
}

type Frame = { seq: number; v: number; d: unknown };

/** A tab: its replica, what it stored, and two queues for a network. */
class Tab {
  s = replica.born(replica.drawClient(), 'rich');
  shown = newborn('rich');
  stored: unknown = null;
  up: Frame[] = [];
  connected = false;
  sentUnder: string = this.s.client;

  constructor(
    readonly name: string,
    readonly server: Server,
  ) {}

  take(step: replica.Step): boolean {
    this.s = step.state;
    if (step.view) this.shown = apply(this.shown, step.view);
    if (!step.lost) return true;
    this.startOver(true);
    return false;
  }

  edit(d: Delta): void {
    this.shown = apply(this.shown, d);
    this.take(replica.edit(this.s, d));
    this.store();
  }

  /** Types a pair as some input methods do: in halves. */
  type(pair: string): void {
    if (this.s.held) return this.finish();
    this.edit(new Delta().insert(pair[0] as string));
  }

  finish(): void {
    const half = textOf(this.shown).search(/[\ud800-\udbff](?![\udc00-\udfff])/);
    if (half >= 0) this.edit(new Delta().retain(half + 1).insert('\ude42'));
  }

  store(): void {
    this.stored = structuredClone(keep({ server: '', doc: '', user: '' }, this.s));
  }

  reload(): void {
    this.connected = false;
    this.up = [];
    if (this.stored) this.s = restore(structuredClone(this.stored) as Parameters<typeof restore>[0]);
    this.shown = replica.view(this.s);
  }

  transmit(): void {
    if (!this.s.inFlight) return;
    this.store();
    this.sentUnder = this.s.client;
    this.up.push({ seq: this.s.seq, v: this.s.v, d: structuredClone(this.s.inFlight.ops) });
  }

  send(): void {
    if (!this.connected) return;
    const next = replica.send(this.s);
    if (next === this.s) return;
    this.s = next;
    this.transmit();
  }

  connect(compacted: boolean, stop: number): void {
    const known = this.s.v === 0 || (this.s.v > 0 && this.s.last !== null);
    const v = known && !compacted ? Math.min(this.s.v + stop, this.server.log.length) : this.server.log.length;
    const last = this.server.origin(v);
    const base = { v, type: 'rich' as const, seq: this.server.lastSeq(this.s.client, v), last };
    const w = known && !compacted ? { ...base, ops: this.server.log.slice(this.s.v, v) } : { ...base, doc: this.server.content.ops };
    this.up = [];
    this.connected = this.take(replica.welcome(this.s, structuredClone(w)));
    this.store();
    if (this.connected) this.transmit();
  }

  startOver(same: boolean): void {
    this.connected = false;
    this.s = replica.startOver(this.s, replica.drawClient(), same);
    this.store();
  }

  arrive(): void {
    const frame = this.up.shift();
    if (frame) this.server.submit(this.sentUnder, frame.seq, frame.v, frame.d);
  }

  receive(): void {
    const op = this.server.log[this.s.v];
    if (this.connected && op) this.take(replica.receive(this.s, structuredClone(op)));
  }
}

function randomEdit(tab: Tab, r: (n: number) => number, mark: string): Delta {
  const text = textOf(tab.shown);
  const points = Array.from(text.slice(0, -1));
  const from = r(points.length + 1);
  const at = points.slice(0, from).join('').length;
  const d = new Delta().retain(at).insert(['', '🙂', 'x', '\n', 'xx'][r(5)] + mark, r(4) === 0 ? { bold: true } : undefined);
  const next = points[from];
  if (next === 'x' || next === '🙂') d.delete(next.length);
  else if (r(4) === 0) d.retain(1 + (next && next.length > 1 ? 1 : 0), { bold: r(2) ? true : null });
  return d;
}

/** Whether a late copy of a former client's operation arrives is the network's choice: these are the ghosts. */
function run(seed: number, compaction: boolean): void {
  const r = random(seed);
  const server = new Server();
  const tabs = ['a', 'b', 'c'].map((name) => new Tab(name, server));
  const late: (() => void)[] = [];
  const marks: string[] = [];
  for (const tab of tabs) tab.connect(false, 0);
  for (let i = 0; i < 120; i++) {
    const tab = tabs[r(3)] as Tab;
    const what = r(20);
    if (tab.s.held && what < 6) tab.finish();
    else if (what < 6) {
      const mark = String.fromCodePoint(0x4e00 + marks.length);
      marks.push(mark);
      tab.edit(randomEdit(tab, r, mark));
      if (r(4) === 0) tab.type('🙂'); // one half now, the other when something came between
    } else if (what < 9) tab.send();
    else if (what < 12) tab.arrive();
    else if (what < 15) tab.receive();
    else if (what === 15) tab.connected = false;
    else if (what === 16) tab.reload();
    else if (what === 17) tab.connect(compaction && !tab.s.former && r(2) === 0, r(5));
    else if (what === 18 && !(compaction && tab.s.inFlight)) {
      const [frame, client] = [tab.up[0], tab.sentUnder];
      if (frame && r(2) === 0) late.push(() => server.submit(client, frame.seq, frame.v, frame.d));
      tab.startOver(true);
      tab.up = [];
    } else if (late.length > 0) late.shift()?.();
    expect(equalJSON(replica.view(tab.s).ops, tab.shown.ops), `seed ${seed}: the view drifts at ${i}`).toBe(true);
  }
  for (const tab of tabs) tab.finish();
  for (let round = 0; round < 500; round++) {
    late.shift()?.();
    for (const tab of tabs) {
      if (!tab.connected) tab.connect(false, 1000);
      tab.send();
      tab.arrive();
      while (tab.connected && tab.s.v < server.log.length) tab.receive();
    }
    if (late.length === 0 && tabs.every((t) => !replica.isUnsaved(t.s) && t.s.v === server.log.length)) break;
  }
  const text = textOf(server.content);
  for (const tab of tabs) expect(equalJSON(tab.shown.ops, server.content.ops), `seed ${seed}: ${tab.name} differs`).toBe(true);
  for (const mark of marks) expect(text.split(mark).length - 1, `seed ${seed}: ${mark} stands this often`).toBe(1);
}

describe('replicas', () => {
  const base = Number(process.env.WEFT_SEED ?? Math.floor(Math.random() * 1e9));
  test(`converge over drops, reloads and starting over, with each edit once (seeds from ${base})`, () => {
    for (let i = 0; i < 300; i++) run(base + i, false);
  });
  test(`converge where content comes in place of operations (seeds from ${base})`, () => {
    for (let i = 0; i < 300; i++) run(base + i, true);
  });
});

/** A replica at version 1 with the given text. */
function at(text: string): replica.State {
  const s = replica.born('me00000000000000', 'rich');
  return { ...s, v: 1, last: ['x', 1], content: new Delta().insert(text + '\n') };
}

describe('a replica', () => {
  test('takes what differs from its operation in flight as a remote change', () => {
    let s = replica.edit(at('abc'), new Delta().retain(1).insert('XY')).state;
    s = replica.send(s);
    s = replica.edit(s, new Delta().retain(6).delete(0).retain(0).insert('')).state;
    s = replica.edit(s, new Delta().retain(5).insert('!')).state;
    const before = replica.view(s);
    const step = replica.receive(s, { c: s.client, seq: 1, u: 'u', d: [{ retain: 1 }, { insert: 'X' }] });
    expect(textOf(replica.view(step.state))).toBe('aXbc!\n');
    expect(apply(before, step.view as Delta).ops).toEqual(replica.view(step.state).ops);
    expect(step.state.inFlight).toBeNull();
  });

  test('knows that it lost its state by an operation of its own that it never sent', () => {
    expect(replica.receive(at('a'), { c: 'me00000000000000', seq: 3, u: 'u', d: [] }).lost).toBe(true);
    expect(replica.welcome(at('a'), { v: 1, type: 'rich', ops: [], seq: 2 }).lost).toBe(true);
  });

  // Set on top anew, the deletion meets its own former copy, and both are one deletion: nothing of it is to be taken back.
  test.each([
    ['waits', (s: replica.State) => s],
    ['is in flight', (s: replica.State) => replica.send(s)],
  ])('keeps a deletion whose former copy is stored after all, while it %s anew', (_, onwards) => {
    const gone = new Delta().delete(2).insert('Z');
    const sent = replica.send(replica.edit(at('abc'), gone).state);
    const anew = replica.startOver(sent, 'me11111111111111', true);
    const s = onwards(replica.welcome(anew, { v: 1, type: 'rich', ops: [], seq: 0, last: ['x', 1] }).state);
    const step = replica.receive(s, { c: sent.client, seq: 1, u: 'me', d: sent.inFlight?.ops });
    expect(textOf(replica.view(step.state))).toBe('Zc\n');
    expect(step.view).toBeNull();
    const stored = step.state.inFlight ? apply(step.state.content, step.state.inFlight) : step.state.content;
    expect(textOf(step.state.buffer ? apply(stored, step.state.buffer) : stored)).toBe('Zc\n');
  });

  test('never composes into what is in flight', () => {
    const s = replica.send(replica.edit(at('a'), new Delta().insert('x')).state);
    const typed = replica.edit(s, new Delta().insert('y')).state;
    expect(typed.inFlight).toBe(s.inFlight);
    expect(replica.send(typed)).toBe(typed);
  });

  test('lets go of an edit within a surrogate pair that somebody deletes', () => {
    const within = replica.edit(at('a🙂b'), new Delta().retain(2).insert('x')).state;
    expect(within.buffer).toBeNull();
    const { state, view } = replica.receive(within, { c: 'other', seq: 1, u: 'u', d: [{ retain: 1 }, { delete: 2 }] });
    expect([state.held, state.buffer]).toEqual([null, new Delta().retain(1).insert('x')]);
    expect(apply(replica.view(within), view as Delta)).toEqual(replica.view(state));
  });

  test('holds half a surrogate pair until the other half comes', () => {
    const half = replica.edit(at('a'), new Delta().insert('\ud83d')).state;
    expect([half.buffer, replica.isUnsaved(half)]).toEqual([null, true]);
    const moved = replica.receive(half, { c: 'other', seq: 1, u: 'u', d: [{ insert: 'zz' }] }).state;
    const index = textOf(replica.view(moved)).indexOf('\ud83d');
    const whole = replica.edit(moved, new Delta().retain(index + 1).insert('\ude42')).state;
    expect(textOf(replica.view(whole))).toContain('🙂');
    expect([whole.held, textOf(whole.buffer as Delta)]).toEqual([null, '🙂']);
  });
});

describe('the difference of contents', () => {
  const line = (text: string, attributes?: Record<string, unknown>) => new Delta().insert(text).insert('\n', attributes);
  test.each([
    ['an emoji for another of the same first half', line('a🙂b'), line('a🙃b')],
    ['an emoji inserted beside its like', line('🙂'), line('🙂🙂')],
    ['emoji that share halves, where quill-delta cuts a pair', line('a\u{2f642}𝄞🚀🙃\u{1f442}'), line('\u{1f6de}\u{2f642}𝄞🙃\u{1f442}')],
    ['the last newline gets attributes', line('a'), line('a', { header: 1 })],
    ['text grows by a line', line('a'), line('a\nb')],
    ['text shrinks to nothing', line('a\nb'), new Delta().insert('\n')],
    ['attributes within emoji', new Delta().insert('🙂🙃').insert('\n'), new Delta().insert('🙂').insert('🙃', { bold: true }).insert('\n')],
    ['embeds', new Delta().insert({ image: 'a' }).insert('🙂\n'), new Delta().insert({ image: 'b' }).insert('🙃\n')],
  ])('%s', (_, a, b) => {
    const d = diff('rich', a, b);
    expect(apply(a, d).ops).toEqual(b.ops);
    expect(inForm('rich', a, d)).toEqual({ delta: d, correction: null });
  });
});

test('the difference of any two contents is in form', () => {
  const seed = Number(process.env.WEFT_SEED ?? Math.floor(Math.random() * 1e9));
  const r = random(seed);
  const some = () => {
    const d = new Delta();
    for (let n = r(6); n > 0; n--) {
      const text = ['🙂', '🙃', '𝄞', 'a', '\n', '🚀', '\u{1f642}\u{2f642}', '\u{1f442}'][r(8)] as string;
      d.insert(text.repeat(1 + r(2)), r(3) === 0 ? { bold: true } : undefined);
    }
    return d.insert('\n', r(3) === 0 ? { header: 1 } : undefined);
  };
  for (let i = 0; i < 3000; i++) {
    const [a, b] = [some(), some()];
    const d = diff('rich', a, b);
    expect(apply(a, d).ops, `seed ${seed}`).toEqual(b.ops);
    expect(inForm('rich', a, d), `seed ${seed}: ${JSON.stringify([a, b])}`).toEqual({ delta: d, correction: null });
  }
});

test('what was undone while it was unsent is not sent', () => {
  const typed = replica.edit(at('ab'), new Delta().insert('x').delete(1)).state;
  const undone = replica.edit(typed, new Delta().delete(1).insert('a')).state;
  expect(replica.reform(undone).buffer).toBeNull();
});

describe('an edit', () => {
  const content = new Delta().insert('ab\n');
  test.each([
    ['behind the last newline', new Delta().retain(3).insert('c'), 'ab\nc\n'],
    ['that deletes all', new Delta().delete(3), '\n'],
    ['that sets all anew', new Delta().insert('new\n').delete(3), 'new\n'],
    ['with a carriage return', new Delta().insert('x\r\ny'), 'x\nyab\n'],
  ])('%s comes into form, and the view follows', (_, edit, want) => {
    const { delta, correction } = inForm('rich', content, edit);
    const viewed = content.compose(edit);
    expect(textOf(apply(content, delta as Delta))).toBe(want);
    expect(textOf(correction ? viewed.compose(correction) : viewed)).toBe(want);
    expect(inForm('rich', content, delta as Delta)).toEqual({ delta, correction: null });
  });

  test('larger than a message is split at code points, and the parts are the whole', () => {
    const d = new Delta().retain(1).insert('🙂'.repeat(100)).insert({ image: 'x' }).insert('é'.repeat(50), { bold: true }).delete(1);
    for (let limit = 110; limit < 120; limit++) {
      let [base, left, parts] = [content, d as Delta | null, 0];
      while (left) {
        const { first, rest }: { first: Delta; rest: Delta | null } = split(left, limit);
        expect(new TextEncoder().encode(JSON.stringify(first.ops)).length).toBeLessThanOrEqual(limit);
        expect(inForm('rich', base, first)).toEqual({ delta: first, correction: null });
        base = apply(base, first);
        left = rest;
        parts++;
      }
      expect(parts).toBeGreaterThan(3);
      expect(base.ops).toEqual(content.compose(d).ops);
    }
  });
});
