// The replica of one client as a value: the server's content, the operation in flight, and what is typed meanwhile.
// Every function is pure and gives a new state; the view is content ∘ inFlight ∘ buffer ∘ held.
//
// The law: of two concurrent operations the one committed first has priority. So for a committed op r and an unsent u,
// u becomes r.transform(u, true), r becomes u.transform(r, false), and both ways round end in the same content.
import Delta from 'quill-delta';
import { apply, diff, type DocumentType, equalJSON, fromWire, inForm, insertedText, newborn, split } from './form';

/** The client and seq of an operation. */
export type Origin = readonly [client: string, seq: number];

/** An operation as the log has it. */
export interface Committed {
  c: string;
  seq: number;
  u: string;
  d: unknown;
}

/** What a welcome says about the document; one of doc and ops is there. */
export interface Greeting {
  v: number;
  type: DocumentType;
  doc?: unknown;
  ops?: Committed[];
  seq: number;
  last?: Origin | null;
}

export interface State {
  readonly client: string;
  readonly type: DocumentType;
  /** The version of content; -1 before the first welcome. */
  readonly v: number;
  /** Who made version v; null for version 0, or where content must be asked for. */
  readonly last: Origin | null;
  readonly content: Delta;
  /** The last seq that this client used, 0 for none. */
  readonly seq: number;
  /** Sent, or about to be, with seq; never composed into, only transformed. Null: none. */
  readonly inFlight: Delta | null;
  /** After inFlight, in form. */
  readonly buffer: Delta | null;
  /** After buffer, and not in form: half a surrogate pair waits for its other half. */
  readonly held: Delta | null;
  /** Under which name inFlight went out before starting over; its fate is not known yet. */
  readonly former: Origin | null;
  /** Operations given up and set on top anew. One that is stored after all has its edit already. */
  readonly ghosts: readonly Origin[];
}

/** A new state, and what it changes in the view (null: nothing). */
export interface Step {
  state: State;
  view: Delta | null;
  /** The log knows more of this client than it does itself: start over. The rest was not taken. */
  lost?: boolean;
}

/** More ghosts than a client can leave in the time that a server keeps one pending. */
const maxGhosts = 64;

export function born(client: string, type: DocumentType): State {
  const none = { inFlight: null, buffer: null, held: null, former: null, ghosts: [] };
  return { client, type, v: -1, last: null, content: newborn(type), seq: 0, ...none };
}

/** A client id at random: 24 hexadecimal digits. */
export function drawClient(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('');
}

/** What the user should see. */
export function view(s: State): Delta {
  return [s.inFlight, s.buffer, s.held].reduce<Delta>((c, d) => (d ? apply(c, d) : c), s.content);
}

/** Whether there is anything that the server has not acknowledged. */
export function isUnsaved(s: State): boolean {
  return s.inFlight !== null || s.buffer !== null || s.held !== null;
}

/** The text of the edits that are not acknowledged. */
export function unsavedText(s: State): string {
  return insertedText(s.inFlight, s.buffer, s.held);
}

/** A local edit on the view. step.view is a correction: what the view must add to the edit to be in form. */
export function edit(s: State, delta: Delta): Step {
  const whole = s.held ? s.held.compose(delta) : delta;
  const base = view({ ...s, held: null });
  const formed = inForm(s.type, base, whole);
  if (!formed.delta) return { state: { ...s, held: whole }, view: null };
  return { state: { ...s, held: null, buffer: join(s.buffer, formed.delta) }, view: formed.correction };
}

/** Moves the buffer, or as much of it as limit bytes take, into flight. The same state where nothing may go. */
export function send(s: State, limit = Infinity, components?: number): State {
  if (s.v < 0 || s.inFlight || s.former || !s.buffer) return s;
  const { first, rest } = split(s.buffer, limit, components);
  return { ...s, inFlight: first, buffer: rest, seq: s.seq + 1 };
}

/** Takes the next operation of the log. */
export function receive(s: State, op: Committed): Step {
  const d = fromWire(op.d);
  const own = op.c === s.client;
  const awaited = s.former ?? [s.client, s.seq];
  let step: Step;
  if (s.inFlight && op.c === awaited[0] && op.seq === awaited[1]) step = acknowledge(s, s.inFlight, d);
  else if (own) return { state: s, view: null, lost: true };
  else if (s.ghosts.some(([c, seq]) => c === op.c && seq === op.seq)) step = { state: disown(s, d), view: null };
  else step = rebase(s, d);
  const state: State = { ...step.state, content: apply(s.content, d), v: s.v + 1, last: [op.c, op.seq] };
  if (!state.held) return { state, view: step.view };
  const whole = edit(state, new Delta()); // where the other half is gone, nothing has to wait for it
  return { state: whole.state, view: join(step.view, whole.view) };
}

/** The operation in flight came back. Where it differs, the difference is like a remote operation. */
function acknowledge(s: State, inFlight: Delta, d: Delta): Step {
  const state = { ...s, inFlight: null, former: null };
  if (equalJSON(inFlight.ops, d.ops)) return { state, view: null };
  return rebase(state, inFlight.invert(s.content).compose(d));
}

/** Carries remote through in flight, buffer and held in turn, and these over it. */
function rebase(s: State, remote: Delta): Step {
  let r = remote;
  const over = (mine: Delta | null): Delta | null => {
    if (!mine) return null;
    const moved = r.transform(mine, true);
    r = mine.transform(r, false);
    return moved;
  };
  const inFlight = over(s.inFlight);
  const buffer = over(s.buffer);
  const held = over(s.held);
  return { state: { ...s, inFlight, buffer, held }, view: visible(r) };
}

/**
 * Takes an operation that was given up and set on top anew. It is undone right away, before the buffer, which is not
 * carried over it: what both copies delete is brought back and deleted again, so nothing of it is left in the buffer. The view
 * stays as it is. (A difference of contents would be shorter, and would delete and insert anew what others wrote.)
 */
function disown(s: State, d: Delta): State {
  const rest = s.inFlight ? s.inFlight.transform(d, false) : d;
  const undo = rest.invert(s.inFlight ? apply(s.content, s.inFlight) : s.content);
  return { ...s, inFlight: s.inFlight && d.transform(s.inFlight, true), buffer: join(undo, s.buffer) };
}

/** Takes a welcome: the first content, the operations since, or content in their place. */
export function welcome(s: State, w: Greeting): Step {
  const unsure = s.inFlight && !s.former ? s.seq - 1 : s.seq;
  if (w.seq > s.seq || w.seq < unsure) return { state: s, view: null, lost: true };
  let step: Step = w.doc ? take(s, w) : { state: s, view: null };
  for (const op of w.ops ?? []) {
    const next = receive(step.state, op);
    step = { ...next, view: join(step.view, next.view) };
    if (next.lost) return step;
  }
  return { ...step, state: settle(step.state) };
}

/** Content in place of operations: the difference is one remote operation. */
function take(s: State, w: Greeting): Step {
  const content = fromWire(w.doc);
  const acknowledged = s.inFlight !== null && !s.former && w.seq >= s.seq;
  const had = acknowledged && s.inFlight ? apply(s.content, s.inFlight) : s.content;
  const state = { ...s, type: w.type, inFlight: acknowledged ? null : s.inFlight };
  const step = rebase(state, diff(w.type, s.v < 0 ? newborn(w.type) : had, content));
  return { state: { ...step.state, content, v: w.v, last: w.last ?? null }, view: step.view };
}

/** What went out under a former name is not in the log: it is a ghost, and its edit goes out anew. */
function settle(s: State): State {
  if (!s.former) return s;
  if (!s.inFlight) return { ...s, former: null };
  const ghosts = [...s.ghosts, s.former].slice(-maxGhosts);
  return { ...s, ghosts, former: null, inFlight: null, buffer: join(s.inFlight, s.buffer) };
}

/**
 * Goes on under a new client id. On the same lineage the next hello asks for the operations since, which tell
 * whether what is in flight was stored; otherwise it asks for the content.
 */
export function startOver(s: State, client: string, sameLineage: boolean): State {
  const former = s.inFlight ? (s.former ?? ([s.client, s.seq] as const)) : null;
  return { ...s, client, seq: 0, former, last: sameLineage ? s.last : null, v: sameLineage || s.v < 0 ? s.v : Math.max(s.v, 1) };
}

/** The unsent edits as one difference of contents: other bytes than those that were refused. Only with nothing in flight. */
export function reform(s: State): State {
  if (s.inFlight || !s.buffer) return s;
  const d = diff(s.type, s.content, apply(s.content, s.buffer));
  return { ...s, buffer: d.ops.length > 0 ? d : null };
}

/** Gives the unsent edits up. The view becomes the server's content. */
export function abandon(s: State): State {
  return { ...s, inFlight: null, buffer: null, held: null, former: null };
}

function join(a: Delta | null, b: Delta | null): Delta | null {
  const joined = a && b ? a.compose(b) : (a ?? b);
  return joined && visible(joined);
}

function visible(d: Delta): Delta | null {
  return d.ops.length > 0 ? d : null;
}
