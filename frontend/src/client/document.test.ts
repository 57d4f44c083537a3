import Delta from 'quill-delta';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { backoff, type Socket, verdictOn, verdictOnStatus } from './connection';
import { connect, type WeftDocument } from './document';
import type { Options } from './event';
import { textOf } from './form';
import { MemoryStorage, type Storage } from './storage';

/** The server's end of a connection, driven by the test. */
class Wire implements Socket {
  static all: Wire[] = [];
  static refuse = false;
  static broken: Error | null = null;
  onopen: (() => void) | null = null;
  onmessage: ((e: { data: unknown }) => void) | null = null;
  onclose: ((e: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  sent: Record<string, unknown>[] = [];
  closedWith: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols?: string[],
  ) {
    if (Wire.broken) throw Wire.broken;
    Wire.all.push(this);
    queueMicrotask(() => (Wire.refuse ? this.onclose?.({ code: 1006, reason: '' }) : this.onopen?.()));
  }

  send(data: string): void {
    this.sent.push(JSON.parse(data) as Record<string, unknown>);
  }

  close(code?: number): void {
    this.closedWith = code;
  }

  say(m: object): void {
    this.onmessage?.({ data: JSON.stringify(m) });
  }

  ops(): Record<string, unknown>[] {
    return this.sent.filter((m) => m.t === 'op');
  }
}

const limits = { message: 1 << 20, document: 1 << 22, attributes: 4096, ops_per_s: 100, presence: 2048 };
const welcome = {
  t: 'welcome',
  v: 1,
  type: 'rich',
  session: 'S1',
  role: 'write',
  expires_in_ms: 3_600_000,
  user: { id: 'ada' },
  seq: 0,
  last: ['x', 1],
  peers: [],
  limits,
  features: [],
};
const hi = { ...welcome, doc: [{ insert: 'hi\n' }] };
const token = `e30.${btoa(JSON.stringify({ sub: 'ada' })).replace(/=+$/, '')}.x`; // base64url has no padding

let open: WeftDocument[] = [];
let status = 204;

function join(options: Partial<Options> = {}): WeftDocument {
  const fetch = vi.fn(() => Promise.resolve({ status, ok: status < 300, headers: new Headers() } as Response));
  const doc = connect({ server: 'https://weft.example', doc: 'd', token: () => token, storage: new MemoryStorage(), WebSocket: Wire, fetch, ...options });
  open.push(doc);
  return doc;
}

const wire = () => Wire.all.at(-1) as Wire;
const rest = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers();
  Wire.all = [];
  Wire.refuse = false;
  Wire.broken = null;
  status = 204;
});

afterEach(async () => {
  await Promise.all(open.map((doc) => doc.close()));
  open = [];
  expect(vi.getTimerCount(), 'timers left behind').toBe(0);
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test('joins with the token as a subprotocol, and shows the content', async () => {
  const doc = join();
  const contents: string[] = [];
  doc.on('reset', (c) => contents.push(textOf(c)));
  await rest();
  expect(wire().url).toBe('wss://weft.example/v1/docs/d/ws');
  expect(wire().protocols).toEqual(['weft.v1', `weft.bearer.${token}`]);
  expect(wire().sent[0]).toMatchObject({ t: 'hello' });
  wire().say(hi);
  expect(contents).toEqual(['hi\n']);
  expect(doc.state).toMatchObject({ connection: 'open', saved: 'saved', canWrite: true, role: 'write' });
});

test('an edit that reaches past the end ends there, and content is what is sent', async () => {
  for (const [type, before, after, sent] of [
    ['rich', 'hi\n', 'hi\nz\n', [{ retain: 2 }, { insert: '\nz' }]],
    ['text', 'hi', 'hiz', [{ retain: 2 }, { insert: 'z' }]],
  ] as const) {
    const doc = join();
    await rest();
    wire().say({ ...hi, type, doc: [{ insert: before }] });
    doc.edit(new Delta().retain(100).insert('z'));
    await rest();
    expect(doc.content.ops).toEqual([{ insert: after }]);
    expect(wire().ops()[0]?.d).toEqual(sent);
  }
});

test('stores an operation before it is sent, and is saved only when it came back', async () => {
  const storage = new MemoryStorage();
  const doc = join({ storage });
  await rest();
  wire().say(hi);
  let stored = () => {};
  const put = storage.put.bind(storage);
  storage.put = (...args) => new Promise((resolve) => (stored = () => resolve(put(...args))));
  await rest();
  doc.edit(new Delta().insert('1'));
  await rest();
  expect([wire().ops(), doc.state.saved]).toEqual([[], 'saving']);
  storage.put = put;
  stored();
  await rest();
  const op = wire().ops()[0];
  expect(op).toEqual({ t: 'op', v: 1, seq: 1, d: [{ insert: '1' }] });
  expect(doc.state.saved).toBe('saving');
  const client = wire().sent[0]?.client;
  wire().say({ t: 'ops', v: 1, ops: [{ c: client, seq: 1, u: 'ada', d: [{ insert: '1' }] }] });
  expect(doc.state.saved).toBe('saved');
});

test('says that an edit is not kept while its writing is under way', async () => {
  const storage: Storage = Object.assign(new MemoryStorage(), { durable: true });
  const doc = join({ storage });
  await rest();
  wire().say(hi);
  await rest();
  expect(doc.kept).toBe(true);
  let stored = () => {};
  const put = storage.put.bind(storage);
  storage.put = (...args) => new Promise((resolve) => (stored = () => resolve(put(...args))));
  doc.edit(new Delta().insert('1'));
  expect(doc.kept, 'before it is written').toBe(false);
  await rest();
  doc.edit(new Delta().insert('2'));
  storage.put = put;
  stored();
  expect(doc.kept, 'while it is written').toBe(false);
  await rest();
  expect([doc.kept, doc.state.saved]).toEqual([true, 'saving']);
});

test('sends again what was in flight after a loss, as the same edit against the newer version', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().retain(2).insert('!'));
  await rest();
  wire().onclose?.({ code: 1006, reason: '' });
  expect(doc.state).toMatchObject({ connection: 'offline', saved: 'unsaved' });
  await vi.advanceTimersByTimeAsync(2000);
  const changes: unknown[] = [];
  doc.on('change', (d) => changes.push(d.ops));
  expect(wire().sent[0]).toMatchObject({ t: 'hello', v: 1, last: ['x', 1] });
  wire().say({ ...welcome, v: 2, ops: [{ c: 'other', seq: 1, u: 'bob', d: [{ insert: 'oh ' }] }] });
  await rest();
  expect(wire().ops()).toEqual([{ t: 'op', v: 2, seq: 1, d: [{ retain: 5 }, { insert: '!' }] }]);
  expect(changes).toEqual([[{ insert: 'oh ' }]]);
  expect(textOf(doc.content)).toBe('oh hi!\n');
});

test('finds the edits of a tab that was closed offline', async () => {
  const storage = new MemoryStorage();
  const doc = join({ storage });
  await rest();
  wire().say(hi);
  wire().onclose?.({ code: 1006, reason: '' });
  doc.edit(new Delta().insert('kept '));
  await doc.close();
  const again = join({ storage });
  await rest();
  expect(textOf(again.content)).toBe('kept hi\n');
  wire().say({ ...welcome, ops: [] });
  await rest();
  expect(wire().ops()).toHaveLength(1);
});

test('a duplicated tab draws another client id', async () => {
  const storage = new MemoryStorage();
  join({ storage });
  await rest();
  wire().say(hi);
  await rest();
  join({ storage });
  await rest();
  const [a, b] = Wire.all.map((w) => w.sent[0]?.client);
  expect(a).not.toBe(b);
});

test('starts over after replaced: a new client id, the same version, and the edit once', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('1'));
  await rest();
  const before = wire().sent[0]?.client;
  wire().say({ t: 'error', code: 'replaced', msg: 'elsewhere' });
  wire().onclose?.({ code: 4409, reason: '' });
  await vi.advanceTimersByTimeAsync(2000);
  expect(wire().sent[0]).toMatchObject({ t: 'hello', v: 1, last: ['x', 1] });
  expect(wire().sent[0]?.client).not.toBe(before);
  wire().say({ ...welcome, v: 2, last: [before, 1], ops: [{ c: before, seq: 1, u: 'ada', d: [{ insert: '1' }] }] });
  await rest();
  expect([wire().ops(), doc.state.saved, textOf(doc.content)]).toEqual([[], 'saved', '1hi\n']);
});

/** The server refuses what is in flight for good, and takes the client in again. */
async function refuseForGood(): Promise<void> {
  wire().say({ t: 'error', code: 'bad_op', msg: 'no', seq: 1 });
  wire().onclose?.({ code: 4400, reason: '' });
  await vi.advanceTimersByTimeAsync(4000);
  wire().say({ ...welcome, ops: [] });
  await rest();
}

test('never sends refused bytes twice: it goes on without them, and gives the user their text', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('precious'));
  await rest();
  await refuseForGood();
  expect(Wire.all.flatMap((w) => w.ops())).toHaveLength(1);
  expect(doc.state).toMatchObject({ connection: 'open', canWrite: true, saved: 'saved', unsentText: 'precious', error: { code: 'bad_op', final: false } });
  expect(textOf(doc.content)).toBe('hi\n');
  doc.edit(new Delta().insert('more'));
  await rest();
  const [op] = wire().ops() as { seq: number; d: unknown }[];
  expect(op).toMatchObject({ seq: 1, d: [{ insert: 'more' }] });
  wire().say({ t: 'ops', v: 1, ops: [{ c: wire().sent[0]?.client, seq: 1, u: 'ada', d: op?.d }] });
  expect(doc.state).toMatchObject({ saved: 'saved', unsentText: 'precious' });
  expect(doc.state.error).toBeUndefined();
  doc.dismiss();
  expect(doc.state.unsentText).toBeUndefined();
});

test('sets a refused edit on top anew where that gives other bytes', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('h').retain(1).delete(1)); // the same as retaining the h
  await rest();
  await refuseForGood();
  const [one, two] = Wire.all.map((w) => w.ops()[0]?.d);
  expect(one).toEqual([{ insert: 'h' }, { retain: 1 }, { delete: 1 }]);
  expect(two).toBeDefined();
  expect(two).not.toEqual(one);
  expect(textOf(doc.content)).toBe('hh\n');
});

test('stops where the server goes on refusing', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  for (const text of ['one', 'two']) {
    doc.edit(new Delta().insert(text));
    await rest();
    await refuseForGood();
  }
  expect(doc.state).toMatchObject({ connection: 'closed', canWrite: false, unsentText: 'onetwo', error: { code: 'bad_op', final: true } });
});

test.each<[string, { message?: number; components?: number }]>([
  ['a message', { message: 600 }],
  ['what has so many components', { components: 3 }],
])('splits an edit that is larger than %s, and keeps the whole of it in order', async (_, limit) => {
  const doc = join();
  await rest();
  wire().say({ ...hi, limits: { ...limits, ...limit } });
  const pieces = Array.from({ length: 200 }, (_, i) => `${i}\ud83d\ude00`);
  const long = pieces.join('');
  doc.edit(pieces.reduce((d, piece, i) => d.insert(piece, i % 2 ? { bold: true } : {}), new Delta()));
  await rest();
  let [v, received] = [1, new Delta().insert('hi\n')];
  for (let seq = 1; doc.state.saved !== 'saved'; seq++) {
    const op = wire().ops().at(-1) as { seq: number; d: Delta['ops'] };
    expect(op.seq).toBe(seq);
    expect(new TextEncoder().encode(JSON.stringify({ t: 'op', v, seq, d: op.d })).length).toBeLessThanOrEqual(limit.message ?? limits.message);
    expect(op.d.length).toBeLessThanOrEqual(limit.components ?? 10_000);
    received = received.compose(new Delta(op.d));
    wire().say({ t: 'ops', v: v++, ops: [{ c: wire().sent[0]?.client, seq, u: 'ada', d: op.d }] });
    await rest();
  }
  expect(textOf(received)).toBe(`${long}hi\n`);
  expect(wire().ops().length).toBeGreaterThan(3);
});

test('an edit beyond the document limit waits, and goes with the next one that makes it smaller', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('huge'));
  await rest();
  wire().say({ t: 'error', code: 'too_large', msg: 'the document is full', seq: 1 });
  expect(doc.state).toMatchObject({ saved: 'unsaved', error: { code: 'too_large', final: false } });
  doc.edit(new Delta().delete(3));
  await vi.advanceTimersByTimeAsync(4000);
  wire().say({ ...welcome, ops: [] });
  await rest();
  expect(wire().ops()).toEqual([{ t: 'op', v: 1, seq: 1, d: [{ insert: 'e' }] }]);
});

test('edits that the role forbids are kept, and go out when it allows them again', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('mine'));
  await rest();
  wire().say({ t: 'error', code: 'forbidden', msg: 'read only', seq: 1 });
  expect(doc.state).toMatchObject({ canWrite: false, saved: 'unsaved', unsentText: 'mine' });
  wire().say({ t: 'role', role: 'write' });
  await rest();
  expect(wire().ops()).toHaveLength(2);
  expect(wire().ops()[1]).toEqual(wire().ops()[0]);
});

test('stops after 4410, and keeps the edits for copying', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('mine'));
  wire().onclose?.({ code: 4410, reason: '' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(Wire.all).toHaveLength(1);
  expect(doc.state).toMatchObject({ connection: 'closed', saved: 'unsaved', unsentText: 'mine', error: { code: 'deleted', final: true } });
});

test('asks by HEAD why a handshake failed', async () => {
  Wire.refuse = true;
  status = 403;
  const doc = join();
  await rest();
  expect(doc.state).toMatchObject({ connection: 'closed', error: { code: 'forbidden', final: true } });
});

test('notices a half-open connection within seconds', async () => {
  join();
  await rest();
  wire().say(hi);
  await vi.advanceTimersByTimeAsync(5000);
  expect(wire().sent.at(-1)).toEqual({ t: 'ping' });
  wire().say({ t: 'pong' });
  await vi.advanceTimersByTimeAsync(9999);
  expect(Wire.all).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(2001);
  expect(Wire.all).toHaveLength(2);
  expect(Wire.all[0]?.closedWith).toBe(1000);
});

test('sends nothing between hello and welcome, whatever the page does meanwhile', async () => {
  const page = new EventTarget();
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
  vi.stubGlobal('document', Object.assign(new EventTarget(), { visibilityState: 'visible' }));
  let n = 0;
  const doc = join({ token: () => `${token}${n++}` });
  await rest();
  doc.setCursor({ index: 0, length: 0 });
  for (let i = 0; i < 5; i++) {
    await vi.advanceTimersByTimeAsync(5500);
    page.dispatchEvent(new Event('online'));
    globalThis.document.dispatchEvent(new Event('visibilitychange'));
  }
  wire().say({ t: 'error', code: 'bad_token', msg: 'no' }); // asks for another token, in a while
  await vi.advanceTimersByTimeAsync(25_000);
  expect(Wire.all).toHaveLength(1);
  expect(wire().sent.map((m) => m.t)).toEqual(['hello']);
  wire().say(hi);
  page.dispatchEvent(new Event('online'));
  expect(wire().sent.map((m) => m.t)).toEqual(['hello', 'ping']);
});

test('comes again where no welcome comes within 30 s, with the edits', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  wire().onclose?.({ code: 1006, reason: '' });
  doc.edit(new Delta().insert('mine '));
  await vi.advanceTimersByTimeAsync(2000);
  const silent = wire();
  expect(silent.sent.map((m) => m.t)).toEqual(['hello']);
  await vi.advanceTimersByTimeAsync(27_000);
  expect(silent.closedWith).toBeUndefined();
  await vi.advanceTimersByTimeAsync(3000);
  expect([silent.closedWith, doc.state.connection]).toEqual([1000, 'offline']);
  await vi.advanceTimersByTimeAsync(4000);
  expect(Wire.all).toHaveLength(3);
  wire().say({ ...welcome, ops: [] });
  await rest();
  expect(wire().ops()).toMatchObject([{ seq: 1, d: [{ insert: 'mine ' }] }]);
});

test.each([4400, 1003, 1007, 1009])('%i before the operation in flight was sent again refuses nothing: the edits are kept', async (code) => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('precious '));
  await rest();
  wire().onclose?.({ code: 1006, reason: '' });
  for (let i = 1; i <= 5; i++) {
    await vi.advanceTimersByTimeAsync(16_000);
    expect(Wire.all.length, 'comes again').toBeGreaterThan(i);
    wire().say({ t: 'error', code: 'bad_message', msg: 'nothing may follow hello before welcome' });
    wire().onclose?.({ code, reason: '' });
    expect(textOf(doc.content)).toBe('precious hi\n');
    expect(doc.state).toMatchObject({ connection: 'offline', canWrite: true, saved: 'unsaved' });
    expect(doc.state.unsentText).toBeUndefined();
  }
  await vi.advanceTimersByTimeAsync(16_000);
  wire().say({ ...welcome, ops: [] });
  await rest();
  expect(wire().ops()).toEqual([{ t: 'op', v: 1, seq: 1, d: [{ insert: 'precious ' }] }]);
  expect(doc.state.error).toBeUndefined();
});

test('4400 with nothing in flight comes again, ever later, and what is typed meanwhile is kept', async () => {
  const doc = join();
  const gaps: number[] = [];
  await rest();
  wire().say(hi);
  for (let i = 0; i < 6; i++) {
    const before = Wire.all.length;
    wire().say({ t: 'error', code: 'bad_message', msg: 'the presence is out of form' });
    wire().onclose?.({ code: 4400, reason: '' });
    if (i === 5) doc.edit(new Delta().insert('typed '));
    const lost = Date.now();
    while (Wire.all.length === before && Date.now() - lost <= 30_000) await vi.advanceTimersByTimeAsync(100);
    gaps.push(Date.now() - lost);
    wire().say({ ...welcome, ops: [] });
    await rest();
  }
  expect(Math.max(...gaps)).toBeLessThanOrEqual(30_000);
  expect(wire().ops()).toMatchObject([{ seq: 1, d: [{ insert: 'typed ' }] }]);
  expect(doc.state).toMatchObject({ connection: 'open', canWrite: true });
  expect(doc.state.unsentText).toBeUndefined();
});

test('an error that the session outlived says nothing of how it ended', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('one '));
  await rest();
  wire().say({ t: 'error', code: 'rate_limited', msg: 'slower', seq: 1, retry_ms: 10 });
  await vi.advanceTimersByTimeAsync(10);
  wire().say({ t: 'ops', v: 1, ops: [{ c: wire().sent[0]?.client, seq: 1, u: 'ada', d: [{ insert: 'one ' }] }] });
  doc.edit(new Delta().insert('two '));
  await rest();
  wire().onclose?.({ code: 1009, reason: '' }); // what was sent last is too large, and there is no error that says so
  await vi.advanceTimersByTimeAsync(999);
  expect(Wire.all).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  wire().say({ ...hi, v: 2, doc: [{ insert: 'one hi\n' }] });
  await rest();
  expect(wire().sent[0]?.client).not.toBe(Wire.all[0]?.sent[0]?.client); // it started over
  expect(wire().ops()).toEqual([]); // set on top anew it would be the same bytes
  expect(doc.state.unsentText).toBe('two ');
});

test('the back-off grows over connections that are welcomed and then refused', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(1);
  join();
  await rest();
  for (const wait of [2000, 4000, 8000]) {
    const before = Wire.all.length;
    wire().say({ ...hi });
    wire().onclose?.({ code: 4400, reason: '' });
    await vi.advanceTimersByTimeAsync(wait - 1);
    expect(Wire.all).toHaveLength(before);
    await vi.advanceTimersByTimeAsync(1);
    expect(Wire.all).toHaveLength(before + 1);
  }
});

test('a refusal that names another operation, or none that is in flight, gives no edit up', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('1'));
  await rest();
  wire().say({ t: 'ops', v: 1, ops: [{ c: wire().sent[0]?.client, seq: 1, u: 'ada', d: [{ insert: '1' }] }] });
  doc.edit(new Delta().retain(1).insert('2'));
  await rest();
  wire().say({ t: 'error', code: 'too_large', msg: 'a presence state has at most 2048 bytes' });
  expect(doc.state.saved).toBe('saving');
  wire().say({ t: 'error', code: 'bad_op', msg: 'no', seq: 1 });
  wire().onclose?.({ code: 4400, reason: '' });
  await vi.advanceTimersByTimeAsync(2000);
  wire().say({ ...welcome, v: 2, seq: 1, ops: [] });
  await rest();
  expect(wire().ops()).toEqual([{ t: 'op', v: 2, seq: 2, d: [{ retain: 1 }, { insert: '2' }] }]);
});

test('a close code alone refuses the operation that this connection sent', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  doc.edit(new Delta().insert('precious'));
  await rest();
  wire().onclose?.({ code: 4400, reason: '' });
  await vi.advanceTimersByTimeAsync(2000);
  wire().say({ ...welcome, ops: [] });
  await rest();
  expect(doc.state).toMatchObject({ unsentText: 'precious', saved: 'saved', error: { code: 'bad_op', final: false } });
});

test('renews the token before it runs out', async () => {
  let n = 0;
  join({ token: () => `${token}${n++}` });
  await rest();
  wire().say({ ...hi, expires_in_ms: 100_000 });
  for (let i = 0; i < 18; i++) {
    await vi.advanceTimersByTimeAsync(4000);
    wire().say({ t: 'pong' });
  }
  expect(wire().sent.find((m) => m.t === 'token')).toBeDefined();
});

test('trims the token: a response body often ends in a line break', async () => {
  join({ token: () => Promise.resolve(`\n ${token}\r\n`) });
  await rest();
  expect(wire().protocols).toEqual(['weft.v1', `weft.bearer.${token}`]);
});

const bad: [string, () => unknown, string][] = [
  ['empty', () => '', 'none that can be used'],
  ['blank', () => ' \n', 'none that can be used'],
  ['a page of HTML', () => '<!doctype html>', 'none that can be used'],
  ['two words', () => 'to ken', 'none that can be used'],
  ['beyond ASCII', () => 'tok\u00e9n', 'none that can be used'],
  ['too long', () => 'x'.repeat(8193), 'none that can be used'],
  ['no string', () => Promise.resolve({ token }), 'none that can be used'],
  ['nothing', () => undefined, 'none that can be used'],
  ['a rejection', () => Promise.reject(new Error('status 500')), 'status 500'],
  [
    'an exception',
    () => {
      throw new Error('signed out');
    },
    'signed out',
  ],
];

test.each(bad)('a token that is %s keeps the edits, says so, and the provider is asked again', async (_, give, words) => {
  let good = true;
  const doc = join({ token: () => (good ? token : (give() as string)) });
  await rest();
  wire().say(hi);
  good = false;
  wire().onclose?.({ code: 1006, reason: '' });
  doc.edit(new Delta().insert('mine '));
  await vi.advanceTimersByTimeAsync(20_000);
  expect(Wire.all).toHaveLength(1);
  expect(doc.state).toMatchObject({ connection: 'offline', canWrite: true, saved: 'unsaved', error: { code: 'no_token', final: false } });
  expect(doc.state.error?.msg).toContain(words);
  good = true;
  await vi.advanceTimersByTimeAsync(30_000);
  expect(Wire.all).toHaveLength(2);
  wire().say({ ...welcome, ops: [] });
  await rest();
  expect(wire().ops()).toMatchObject([{ d: [{ insert: 'mine ' }] }]);
  expect(doc.state.error).toBeUndefined();
});

test('the longest token goes', async () => {
  const long = 'x'.repeat(8192);
  join({ token: () => long });
  await rest();
  expect(wire().protocols?.[1]).toBe(`weft.bearer.${long}`);
});

test('a WebSocket that cannot be made is tried again, with another token', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  let asked = 0;
  Wire.broken = new SyntaxError('the address is none');
  const doc = join({ token: () => (asked++, token) });
  await rest();
  expect(doc.state).toMatchObject({ connection: 'offline', error: { code: 'no_socket', final: false } });
  expect(doc.state.error?.msg).toContain('the address is none');
  const before = asked;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked).toBeGreaterThan(before);
  [Wire.broken, Wire.refuse, status] = [null, true, 503];
  await vi.advanceTimersByTimeAsync(16_000);
  expect(Wire.all.length).toBeGreaterThan(0);
  expect(doc.state.error, 'no longer the reason').toBeUndefined();
  Wire.refuse = false;
  await vi.advanceTimersByTimeAsync(30_000);
  wire().say(hi);
  expect(doc.state).toMatchObject({ connection: 'open', canWrite: true });
  expect(doc.state.error).toBeUndefined();
});

test('a provider that fails to renew the token is asked again, and a bad token is not sent', async () => {
  let asked = 0;
  const answers = [
    () => 'no token',
    () => {
      throw new Error('no');
    },
    () => `${token}2 \n`,
  ];
  join({ token: () => (++asked <= 2 ? token : (answers[asked - 3] ?? (() => token))()) });
  await rest();
  wire().say({ ...hi, expires_in_ms: 400_000 });
  for (let i = 0; i < 99; i++) {
    await vi.advanceTimersByTimeAsync(4000);
    wire().say({ t: 'pong' });
  }
  expect(wire().sent.find((m) => m.t === 'token')).toEqual({ t: 'token', token: `${token}2` });
});

test('a reader cannot edit', async () => {
  const doc = join();
  await rest();
  wire().say({ ...hi, role: 'read' });
  expect(() => doc.edit(new Delta().insert('x'))).toThrow();
  expect(textOf(doc.content)).toBe('hi\n');
});

test('says goodbye with 1000', async () => {
  const doc = join();
  await rest();
  wire().say(hi);
  await doc.close();
  expect(wire().closedWith).toBe(1000);
});

test.each([
  [1001, '', { then: 'retry' }],
  [1006, '', { then: 'retry' }],
  [1011, '', { then: 'retry' }],
  [1012, '', { then: 'retry' }],
  [1013, 'slow', { then: 'retry' }],
  [4401, '', { then: 'token' }],
  [4403, '', { then: 'stop' }],
  [4410, '', { then: 'stop' }],
  [4409, 'bad_version', { then: 'startOver', sameLineage: false }],
  [4409, 'replaced', { then: 'startOver', sameLineage: true }],
  [4409, 'client_taken', { then: 'startOver', sameLineage: true }],
  [1003, '', { then: 'reform' }],
  [1007, '', { then: 'reform' }],
  [1009, '', { then: 'reform' }],
  [4400, 'bad_op', { then: 'reform' }],
])('after %i %s: %o', (close, code, verdict) => {
  expect(verdictOn(close, code)).toEqual(verdict);
});

test('statuses: 401 asks for a token, 403, 404 and 410 stop, 429 and 503 come again', () => {
  expect([401, 403, 404, 410, 429, 503].map((s) => verdictOnStatus(s).then)).toEqual(['token', 'stop', 'stop', 'stop', 'retry', 'retry']);
});

test('the back-off is jittered between 1 s and 30 s', () => {
  for (const n of [0, 1, 4, 20, 1000]) {
    expect(backoff(n, 0)).toBe(1000);
    expect(backoff(n, 1)).toBeLessThanOrEqual(30_000);
  }
  expect([backoff(0, 1), backoff(1, 1), backoff(9, 1)]).toEqual([2000, 4000, 30_000]);
});
