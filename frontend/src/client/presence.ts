// Who else is here, and cursors carried over operations.
import Delta from 'quill-delta';
import type { Committed, State } from './state';

/** In UTF-16 units. */
export interface Cursor {
  index: number;
  length: number;
}

export interface User {
  id: string;
  name?: string;
  picture?: string;
}

/** Another session, its cursor in view coordinates. */
export interface Peer {
  session: string;
  user: User;
  cursor: Cursor | null;
  state?: unknown;
}

/** A peer as messages have it, its cursor in the server's content at the receiver's version. */
export interface WirePeer {
  s: string;
  user?: User;
  cursor?: Cursor | null;
  state?: unknown;
  left?: boolean;
}

/** Session to peer, cursors in the server's content. */
export type Peers = ReadonlyMap<string, Peer>;

/** Takes what a presence message or a welcome says. Fields that are not told stay. */
export function update(peers: Peers, changes: readonly WirePeer[]): Peers {
  const next = new Map(peers);
  for (const c of changes) {
    if (c.left) {
      next.delete(c.s);
      continue;
    }
    const before = next.get(c.s);
    const user = c.user ?? before?.user;
    if (!user) continue;
    const cursor = c.cursor === undefined ? (before?.cursor ?? null) : c.cursor;
    const state = c.state === undefined ? before?.state : c.state;
    next.set(c.s, { session: c.s, user, cursor, ...(state === undefined ? {} : { state }) });
  }
  return next;
}

/** Carries all cursors over a committed operation: behind what their own user inserts at their place, before others' inserts. */
export function carryAll(peers: Peers, op: Pick<Committed, 'u'>, d: Delta): Peers {
  return new Map([...peers].map(([s, p]) => [s, { ...p, cursor: carry(p.cursor, d, p.user.id !== op.u) }]));
}

/** A cursor over d. stay: it stays before what d inserts at its place. */
export function carry(cursor: Cursor | null, d: Delta | null, stay: boolean): Cursor | null {
  if (!cursor || !d) return cursor;
  const index = d.transformPosition(cursor.index, stay);
  const end = d.transformPosition(cursor.index + cursor.length, stay);
  return { index, length: Math.max(0, end - index) };
}

/** The peers as the user sees them: carried over what is unsent, which is another user's to them. */
export function inView(peers: Peers, s: State): Peer[] {
  return [...peers.values()].map((p) => ({
    ...p,
    cursor: [s.inFlight, s.buffer, s.held].reduce((c, d) => carry(c, d, true), p.cursor),
  }));
}

/** A cursor in the view, in the server's content: mapped back through what is unsent. */
export function toServer(cursor: Cursor | null, s: State): Cursor | null {
  if (!cursor) return null;
  const back = (index: number) => [s.held, s.buffer, s.inFlight].reduce((i, d) => (d ? positionBefore(d, i) : i), index);
  const index = back(cursor.index);
  return { index, length: Math.max(0, back(cursor.index + cursor.length) - index) };
}

/** Where a position after d was before it; inside what d inserts, the place where it was inserted. */
export function positionBefore(d: Delta, index: number): number {
  let [before, after] = [0, 0];
  for (const op of d.ops) {
    if (op.delete) {
      before += op.delete;
      continue;
    }
    if (after >= index) break;
    const length = typeof op.insert === 'string' ? op.insert.length : op.insert ? 1 : (op.retain as number);
    if (op.insert !== undefined) {
      if (index < after + length) return before;
    } else if (index < after + length) return before + index - after;
    else before += length;
    after += length;
  }
  return before + Math.max(0, index - after);
}
