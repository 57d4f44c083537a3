// Quill as the editor uses it: its formats, a placeholder for what it does not know, and cursors.
import Quill from 'quill';
import Delta from 'quill-delta';
import QuillCursors from 'quill-cursors';
import type { DocumentType } from '../client';
import { formatNames, showsFormat } from './formats';
import { mayFollow } from './link';
import { mendLinkField } from './tooltip';
import { unknownEmbed, type Shows } from './view';

interface EmbedBlot {
  new (...args: never[]): object;
  create(value?: unknown): HTMLElement;
}
const Embed = Quill.import('blots/embed') as EmbedBlot;

class UnknownEmbed extends Embed {
  static blotName = unknownEmbed;
  static tagName = 'SPAN';
  static className = 'weft-unknown';

  static override create(value?: unknown): HTMLElement {
    const node = super.create();
    const { name } = value as { name: string };
    node.dataset.value = JSON.stringify(value);
    node.textContent = `[${name}]`;
    node.title = `This editor cannot show “${name}”. It stays in the document as it is.`;
    return node;
  }

  static value(node: HTMLElement): unknown {
    return JSON.parse(node.dataset.value ?? '{}');
  }
}

interface AddressBlot extends EmbedBlot {
  sanitize(url: string): string;
}
const Image = Quill.import('formats/image') as AddressBlot;
const Link = Quill.import('formats/link') as AddressBlot;

/** Quill's own video is a block: it puts a newline before it, and the view would be longer than the document. */
class Video extends Image {
  static blotName = 'video';
  static tagName = 'IFRAME';
  static className = 'ql-video';

  static override create(value?: unknown): HTMLElement {
    const node = super.create(value);
    node.setAttribute('frameborder', '0');
    node.setAttribute('allowfullscreen', 'true');
    return node;
  }

  static override sanitize(url: string): string {
    return Link.sanitize(url);
  }
}

Quill.register(
  { [`formats/${unknownEmbed}`]: UnknownEmbed, 'formats/video': Video, 'modules/cursors': QuillCursors } as unknown as Record<string, never>,
  true,
);

const embeds: Record<string, AddressBlot> = { image: Image, video: Video };
const longestAddress = 3000; // bytes; a picture pasted as data would exceed what an embed may have

const toolbar = [
  [{ header: [1, 2, 3, false] }],
  ['bold', 'italic', 'underline', 'strike', 'link'],
  [{ list: 'ordered' }, { list: 'bullet' }, { list: 'check' }],
  ['blockquote', 'code-block'],
  [{ color: [] }, { background: [] }],
  ['clean'],
];

const mac = /mac|iphone|ipad/i.test(navigator.userAgent);
const key = (letter: string) => (mac ? ` (⌘${letter})` : ` (Ctrl+${letter})`);

/** What the controls of the toolbar are called, for screen readers and for who points at them. */
const labels: [selector: string, label: string][] = [
  ['.ql-header .ql-picker-label', 'Heading'],
  ['.ql-bold', 'Bold' + key('B')],
  ['.ql-italic', 'Italic' + key('I')],
  ['.ql-underline', 'Underline' + key('U')],
  ['.ql-strike', 'Strikethrough'],
  ['.ql-link', 'Link' + key('K')],
  ['.ql-list[value=ordered]', 'Numbered list'],
  ['.ql-list[value=bullet]', 'Bulleted list'],
  ['.ql-list[value=check]', 'Checklist'],
  ['.ql-blockquote', 'Quotation'],
  ['.ql-code-block', 'Code block'],
  ['.ql-color .ql-picker-label', 'Text colour'],
  ['.ql-background .ql-picker-label', 'Background colour'],
  ['.ql-clean', 'Clear formatting'],
];

function label(bar: HTMLElement): void {
  bar.setAttribute('aria-label', 'Formatting');
  for (const [selector, text] of labels) {
    const control = bar.querySelector<HTMLElement>(selector);
    control?.setAttribute('aria-label', text);
    control?.setAttribute('title', text);
  }
}

const refusalOf = (pictures: boolean) => `${pictures ? 'Pictures' : 'Files'} cannot be pasted into this document. Link to one by its address.`;

/** What this editor shows of a document of a type. */
export function showsOf(type: DocumentType): Shows {
  return {
    type,
    format: (name, value) => type === 'rich' && showsFormat(name, value),
    embed: (name, value) => type === 'rich' && Object.hasOwn(embeds, name) && typeof value === 'string' && embeds[name]?.sanitize(value) === value,
  };
}

/** Makes the Quill of a document; refused is told, for the user, what of a paste or drop did not come in. */
export function makeQuill(host: HTMLElement, type: DocumentType, placeholder: string, refused: (text: string) => void): Quill {
  const quill = new Quill(host, {
    theme: 'snow',
    placeholder,
    readOnly: true,
    formats: type === 'rich' ? [...formatNames, ...Object.keys(embeds), unknownEmbed] : [],
    modules: {
      toolbar: type === 'rich' ? toolbar : false,
      history: { userOnly: true, delay: 800, maxStack: 200 },
      cursors: { hideSpeedMs: 150, positionFlag: (flag: HTMLElement, caret: Place, page: Place) => placeFlag(quill, flag, caret, page) },
    },
  });
  if (!mac) quill.keyboard.addBinding({ key: 'y', shortKey: true }, () => quill.history.redo()); // Quill has it on Windows alone
  const bar = host.parentElement?.querySelector<HTMLElement>('.ql-toolbar');
  if (bar) label(bar);
  // Not by the option mimetypes: Quill merges a list with its own, which an empty one leaves as it is.
  quill.uploader.upload = (_range, files) => {
    if (files.length > 0 && quill.isEnabled()) refused(refusalOf([...files].every((file) => file.type.startsWith('image/'))));
  };
  quill.clipboard.addMatcher('img, iframe', (node, delta) => {
    const address = (node as Element).getAttribute('src') ?? '';
    const picture = node.nodeName === 'IMG';
    const fits = new TextEncoder().encode(address).length <= longestAddress;
    if (fits && (picture ? Image : Video).sanitize(address) === address) return delta;
    if (picture) refused(refusalOf(true));
    return new Delta();
  });
  quill.clipboard.addMatcher('a', (node, delta) =>
    mayFollow((node as HTMLAnchorElement).getAttribute('href') ?? '') ? delta : delta.compose(new Delta().retain(delta.length(), { link: null })),
  );
  mendLinkField(quill);
  return quill;
}

type Place = Pick<DOMRect, 'left' | 'top' | 'bottom' | 'width'>;

/** A name stands above its caret, to the right; where there is no room, and in the first line, on the other side. */
function placeFlag(quill: Quill, flag: HTMLElement, caret: Place, page: Place): void {
  flag.style.maxWidth = `min(12rem, ${page.width / 2}px)`; // so that a long name has room on one of the two sides
  flag.style.left = `${caret.left}px`;
  flag.classList.toggle('flag-flipped', caret.left + flag.offsetWidth > page.width);
  const below = caret.top < flag.offsetHeight || caret.top < (quill.getBounds(0)?.bottom ?? 0);
  flag.classList.toggle('weft-below', below);
  flag.style.top = `${below ? caret.bottom : caret.top}px`;
}

export interface Cursors {
  createCursor(id: string, name: string, color: string): unknown;
  moveCursor(id: string, range: { index: number; length: number } | null): void;
  removeCursor(id: string): void;
  toggleFlag(id: string, shown: boolean): void;
  cursors(): { id: string }[];
}

export function cursorsOf(quill: Quill): Cursors {
  return quill.getModule('cursors') as Cursors;
}

/** Where a cursor's caret is on the screen; with room around it, to be pointed at. */
export function caretBox(quill: Quill, id: string): DOMRect | null {
  return quill.container.querySelector(`#${CSS.escape(`ql-cursor-${id}`)} .ql-cursor-caret-container`)?.getBoundingClientRect() ?? null;
}
