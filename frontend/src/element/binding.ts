// Holds a Quill and a document together: edits one way, everyone's edits the other. The
// document's content is the truth; where the view comes to differ from it, the view is mended.
import type Quill from 'quill';
import Delta from 'quill-delta';
import type { WeftDocument } from '../client';
import { diff } from '../client/form';
import { Carets } from './carets';
import { historyOf, type ContentHistory } from './history';
import { caretBox, cursorsOf, showsOf } from './quill';
import { contentToView, fromView, oneBlockFormat, sameView, type Shows, toView } from './view';

const mendAfter = 400; // milliseconds of quiet
const manyLines = 500; // Quill makes a view anew in less time than it brings so many into one

function newlines(delta: Delta): number {
  return delta.ops.reduce((n, op) => n + (typeof op.insert === 'string' ? op.insert.split('\n').length - 1 : 0), 0);
}

export class Binding {
  private readonly shows: Shows;
  private applying = false;
  private catching = false;
  private caught: Delta | null = null;
  private held: Delta | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private beyondMending = '';
  private readonly carets: Carets;
  private readonly history: ContentHistory;
  private readonly off: (() => void)[] = [];

  constructor(
    private readonly quill: Quill,
    private readonly doc: WeftDocument,
    private readonly edited: (delta: Delta, source: 'user' | 'remote') => void,
  ) {
    this.shows = showsOf(doc.type);
    const typed = (delta: Delta, _old: Delta, source: string) => this.typed(delta, source);
    const moved = (range: { index: number; length: number } | null) => this.moved(range);
    const composed = () => this.release();
    this.history = historyOf(quill);
    this.history.undoable = { content: () => doc.content, settle: () => this.settle(), edit: (delta) => this.revert(delta) };
    this.carets = new Carets(cursorsOf(quill), (session) => caretBox(quill, session));
    const pointed = (e: MouseEvent) => this.carets.point(e);
    const away = () => this.carets.point(null);
    quill.container.addEventListener('mousemove', pointed, { passive: true });
    quill.container.addEventListener('mouseleave', away, { passive: true });
    quill.on('text-change', typed);
    quill.on('selection-change', moved);
    quill.on('composition-end', composed);
    this.off.push(
      () => quill.off('composition-end', composed),
      () => quill.off('text-change', typed),
      () => quill.off('selection-change', moved),
      doc.on('change', (delta) => this.changed(delta)),
      doc.on('reset', () => this.reset()),
      doc.on('peers', (peers) => this.carets.show(peers)),
      () => quill.container.removeEventListener('mousemove', pointed),
      () => quill.container.removeEventListener('mouseleave', away),
    );
    this.reset();
    this.carets.show(doc.peers);
  }

  stop(): void {
    clearTimeout(this.timer);
    this.carets.stop();
    for (const off of this.off) off();
  }

  /** The view is set anew; the user's place is kept as well as can be. */
  private reset(): void {
    this.held = null;
    const range = this.quill.getSelection();
    this.quietly(() => this.quill.setContents(contentToView(this.doc.content, this.shows), 'silent'));
    this.history.clear();
    if (range) this.quill.setSelection(Math.min(range.index, this.quill.getLength() - 1), 0, 'silent');
  }

  private typed(delta: Delta, source: string): void {
    if (source === 'silent' || (this.applying && source !== 'user')) return;
    if (this.catching) {
      this.caught = this.caught ? this.caught.compose(delta) : delta;
      return;
    }
    const theirs = this.held; // which the view does not have yet
    const content = this.doc.content;
    let ours = fromView(delta, this.shows, content.length() - (theirs?.changeLength() ?? 0));
    if (theirs) {
      this.held = ours.transform(theirs, false);
      ours = theirs.transform(ours, true);
    }
    this.edit(oneBlockFormat(ours, content), source);
    this.mendSoon();
  }

  /** An edit that the view has already. */
  private edit(delta: Delta, source: string): void {
    const base = this.doc.content;
    if (!this.commit(delta)) return;
    if (source === 'user') this.history.made(delta, base);
    else this.history.others(delta);
  }

  private commit(delta: Delta): boolean {
    if (delta.ops.length === 0) return false;
    try {
      this.doc.edit(delta);
    } catch {
      this.mend(); // the role does not allow it, so the view must not show it
      return false;
    }
    this.carets.carry(delta, 'user');
    this.edited(delta, 'user');
    return true;
  }

  /** The content and the view come to hold the same. */
  private settle(): void {
    if (this.held) this.release();
    else this.quill.update('user');
  }

  /** An edit that undo or redo makes. */
  private revert(delta: Delta): void {
    if (!this.commit(delta)) return;
    this.show(delta);
    this.mendSoon();
  }

  /** An edit that the document has already, and the view has not. */
  private changed(delta: Delta): void {
    this.history.others(delta);
    this.held = this.held ? this.held.compose(delta) : delta;
    if (!this.quill.selection?.composing) this.release(); // else when the input method's word is done
    this.carets.carry(delta, 'remote');
    this.edited(delta, 'remote');
    this.mendSoon();
  }

  /** Brings into the view what was held. What the browser took in meanwhile, and Quill has not seen yet, was typed beside it. */
  private release(): void {
    const theirs = this.held;
    if (!theirs) return;
    this.held = this.caught = null;
    this.catching = true;
    this.quill.update('user');
    this.catching = false;
    const typed = this.caught as Delta | null;
    if (!typed) return this.show(theirs);
    const ours = fromView(typed, this.shows, this.doc.content.length() - theirs.changeLength());
    const view = ours.transform(theirs, false);
    this.quietly(() => this.quill.updateContents(toView(view, this.shows), 'api'));
    this.edit(theirs.transform(ours, true), 'user');
  }

  /** Brings into the view an edit that the content has, and is all that the view lacks of it. */
  private show(delta: Delta): void {
    const view = toView(delta, this.shows);
    if (newlines(view) < manyLines) return this.quietly(() => this.quill.updateContents(view, 'api'));
    const range = this.quill.getSelection();
    const place = (index: number) => view.transformPosition(index);
    this.quietly(() => this.quill.setContents(contentToView(this.doc.content, this.shows), 'api'));
    if (range) this.quill.setSelection(place(range.index), place(range.index + range.length) - place(range.index), 'silent');
  }

  private quietly(f: () => void): void {
    this.applying = true;
    try {
      f();
    } catch (e) {
      console.warn('weft: Quill could not show a change; the view is set anew', e);
      this.mendSoon();
    } finally {
      this.applying = false;
    }
  }

  private mendSoon(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.mend(), mendAfter);
  }

  private mend(): void {
    if (this.quill.selection?.composing) return this.mendSoon(); // not in the middle of an input method's word
    const want = contentToView(this.doc.content, this.shows);
    const have = this.quill.getContents();
    const same = sameView(have, want);
    if (same.all) return;
    const key = JSON.stringify(want.ops);
    if (same.text && key === this.beyondMending) return; // formats that Quill has its own mind about
    this.quietly(() => this.quill.updateContents(diff(this.doc.type, have, want), 'silent'));
    if (!sameView(this.quill.getContents(), want).text) this.reset();
    this.beyondMending = key;
  }

  private moved(range: { index: number; length: number } | null): void {
    if (!range) return this.doc.setCursor(null);
    const most = this.doc.content.length();
    const place = (index: number) => Math.min(this.held?.transformPosition(index) ?? index, most);
    const from = place(range.index);
    this.doc.setCursor({ index: from, length: place(range.index + range.length) - from });
  }
}
