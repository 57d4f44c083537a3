// Where others' carets are in the view, and when their names stand at them.
import type Delta from 'quill-delta';
import type { Cursor, Peer } from '../client';
import { carry } from '../client/presence';
import { colourOf } from './colour';
import type { Cursors } from './quill';

export const nameFor = 2000; // milliseconds that a name stands at a caret after its user moved or wrote

interface Place {
  cursor: Cursor;
  pointed: boolean; // the pointer is at it
  named: ReturnType<typeof setTimeout> | null;
}

export interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export class Carets {
  private readonly places = new Map<string, Place>();

  constructor(
    private readonly cursors: Cursors,
    private readonly boxOf: (session: string) => Box | null,
  ) {}

  show(peers: Peer[]): void {
    const here = new Set<string>();
    for (const { session, user, cursor } of peers) {
      if (!cursor) continue;
      here.add(session);
      this.cursors.createCursor(session, user.name || user.id, colourOf(user.id));
      const before = this.places.get(session);
      const moved = before?.cursor.index !== cursor.index || before.cursor.length !== cursor.length;
      if (before) before.cursor = cursor;
      else this.places.set(session, { cursor, pointed: false, named: null });
      this.cursors.moveCursor(session, { ...cursor }); // a copy, as the peers are not the view's to change
      if (moved) this.name(session);
    }
    for (const { id } of this.cursors.cursors()) {
      if (here.has(id)) continue;
      this.cursors.removeCursor(id);
      clearTimeout(this.places.get(id)?.named ?? undefined);
      this.places.delete(id);
    }
  }

  /** Takes them over an edit. What another writes at a caret is its user's, as far as can be seen; others' names stay away. */
  carry(delta: Delta, source: 'user' | 'remote'): void {
    for (const [session, place] of this.places) {
      const wrote = source === 'remote' && touches(delta, place.cursor.index + place.cursor.length);
      place.cursor = carry(place.cursor, delta, true) ?? place.cursor;
      this.cursors.moveCursor(session, { ...place.cursor });
      if (wrote) this.name(session);
    }
  }

  /** The pointer is there; null: nowhere. Carets take no pointer events, as those are the text's. */
  point(at: { x: number; y: number } | null): void {
    for (const [session, place] of this.places) {
      const box = at && this.boxOf(session);
      const pointed = box !== null && at !== null && at.x >= box.left && at.x <= box.right && at.y >= box.top && at.y <= box.bottom;
      if (pointed === place.pointed) continue;
      place.pointed = pointed;
      this.flag(session, place);
    }
  }

  stop(): void {
    for (const { named } of this.places.values()) clearTimeout(named ?? undefined);
    this.places.clear();
  }

  private name(session: string): void {
    const place = this.places.get(session);
    if (!place) return;
    clearTimeout(place.named ?? undefined);
    place.named = setTimeout(() => {
      place.named = null;
      this.flag(session, place);
    }, nameFor);
    this.flag(session, place);
  }

  private flag(session: string, place: Place): void {
    this.cursors.toggleFlag(session, place.pointed || place.named !== null);
  }
}

/** Whether an edit inserts at a place, or deletes beside it. */
function touches(delta: Delta, index: number): boolean {
  let at = 0;
  for (const op of delta.ops) {
    if (at > index) return false;
    if (op.insert !== undefined && at === index) return true;
    if (op.delete && at + op.delete >= index) return true;
    at += op.delete ?? (typeof op.retain === 'number' ? op.retain : 0);
  }
  return false;
}
