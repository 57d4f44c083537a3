// Undo and redo. Quill's own keeps what the view shows; this keeps the document's content, so that what
// was deleted comes back with the formats and embeds that the editor does not show.
import type Delta from 'quill-delta';
import Quill, { type Range } from 'quill';
import type QuillHistory from 'quill/modules/history';
import { sameView } from './view';

/** The document whose edits are taken back. */
export interface Undoable {
  content: () => Delta;
  /** Brings what is under way into the document. */
  settle: () => void;
  /** Edits the content, and shows it. */
  edit: (delta: Delta) => void;
}

export class ContentHistory extends (Quill.import('modules/history') as typeof QuillHistory) {
  /** Set once, before the first edit. */
  undoable: Undoable | null = null;
  private before: Range | null = null; // the selection before the last edit

  /** Quill's call, with a delta of the view: all it is good for is the moment. */
  override record(): void {
    this.before = this.currentRange;
  }

  /** Quill's call, too. */
  override transform(): void {}

  /** The user made an edit of content base. */
  made(delta: Delta, base: Delta): void {
    const after = this.currentRange;
    this.currentRange = this.before;
    super.record(delta, base);
    this.currentRange = after;
  }

  /** Somebody else made an edit. */
  others(delta: Delta): void {
    const steps = this.stack.undo.length;
    super.transform(delta);
    if (this.stack.undo.length < steps) this.cutoff(); // what is typed next does not belong to the step before
  }

  override change(source: 'undo' | 'redo', dest: 'undo' | 'redo'): void {
    if (!this.undoable || !this.quill.isEnabled() || this.quill.selection.composing) return; // an input method's word is its own to take back
    this.undoable.settle();
    const content = this.undoable.content();
    const alters = (delta: Delta) => !sameView(content, content.compose(delta)).all;
    let step = this.stack[source].pop();
    while (step && !alters(step.delta)) step = this.stack[source].pop(); // a format that was set where it was already
    if (!step) return;
    this.stack[dest].push({ delta: step.delta.invert(content), range: this.currentRange });
    this.cutoff();
    this.undoable.edit(step.delta);
    this.restoreSelection(step);
  }
}

Quill.register('modules/history', ContentHistory, true);

export function historyOf(quill: Quill): ContentHistory {
  return quill.getModule('history') as ContentHistory;
}
