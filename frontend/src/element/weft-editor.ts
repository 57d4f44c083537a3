// <weft-editor doc="…" server="…" token="…">: the editor as an element. It lives in the page's own
// tree, as Quill's selection does not work across a shadow root in every browser; its styles are its own.
import type Quill from 'quill';
import { connect, type ConnectionState, type Peer, type WeftDocument } from '../client';
import { Binding } from './binding';
import { colourOf, initials } from './colour';
import { makeQuill } from './quill';
import { reasonOf, statusOf } from './status';
import quillStyle from 'quill/dist/quill.snow.css?inline';
import ownStyle from './weft-editor.css?inline';

const mostFaces = 6;
const refusedFor = 10_000; // milliseconds that the user is told of a paste that did not come in

export type TokenProvider = () => Promise<string> | string;

/** Styles are adopted, so that a page may forbid inline ones. */
function adoptStyles(root: Document | ShadowRoot): void {
  for (const [name, css] of [
    ['quill', quillStyle],
    ['weft', ownStyle],
  ] as const) {
    const key = `weft-${name}`;
    const sheets = root.adoptedStyleSheets as (CSSStyleSheet & { weft?: string })[];
    if (sheets.some((s) => s.weft === key)) continue;
    const sheet: CSSStyleSheet & { weft?: string } = new CSSStyleSheet();
    sheet.replaceSync(css);
    sheet.weft = key;
    root.adoptedStyleSheets.push(sheet);
  }
}

function make<K extends keyof HTMLElementTagNameMap>(tag: K, className: string, parent: HTMLElement): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  node.className = className;
  parent.append(node);
  return node;
}

export class WeftEditor extends HTMLElement {
  static observedAttributes = ['doc', 'server', 'token', 'readonly', 'placeholder'];

  /** Returns a valid token. Asked before each connection and before a token runs out; else the attribute token is taken. */
  get tokenProvider(): TokenProvider | null {
    return this.provider;
  }
  set tokenProvider(provider: TokenProvider | null) {
    this.provider = provider;
    this.restart();
  }

  /** The document, once there is one: its content, state and peers. */
  document: WeftDocument | null = null;
  /** The Quill inside, once the document has come. */
  quill: Quill | null = null;

  private provider: TokenProvider | null = null;
  private binding: Binding | null = null;
  private starting = false;
  private bar!: HTMLElement;
  private status!: HTMLElement;
  private faces!: HTMLElement;
  private notice!: HTMLElement;
  private stage!: HTMLElement;
  private refusal!: HTMLElement;
  private refusalTimer: ReturnType<typeof setTimeout> | undefined;
  private copied = ''; // what was refused, and the user has seen to
  private readonly warn = (e: BeforeUnloadEvent) => {
    if (this.document && !this.document.kept) e.preventDefault();
  };

  connectedCallback(): void {
    adoptStyles(this.getRootNode() as Document | ShadowRoot);
    if (!this.bar) this.furnish();
    if (Object.hasOwn(this, 'tokenProvider')) {
      // Set before this module was loaded: the property hides the accessor.
      const provider = this.tokenProvider;
      delete (this as { tokenProvider?: unknown }).tokenProvider;
      this.provider = provider;
    }
    window.addEventListener('beforeunload', this.warn);
    this.restart();
  }

  disconnectedCallback(): void {
    window.removeEventListener('beforeunload', this.warn);
    this.end();
  }

  attributeChangedCallback(name: string, was: string | null, is: string | null): void {
    if (was === is || !this.isConnected || !this.bar) return;
    if (name === 'readonly') this.permit();
    else if (name === 'placeholder') this.quill?.root.setAttribute('data-placeholder', is ?? '');
    else if (name === 'token' && this.document && was !== null)
      return; // the next connection takes it
    else this.restart();
  }

  override focus(): void {
    this.quill?.focus();
  }

  private furnish(): void {
    this.bar = make('div', 'weft-bar', this);
    this.status = make('span', 'weft-status', this.bar);
    this.status.setAttribute('role', 'status');
    this.status.setAttribute('aria-live', 'polite');
    this.faces = make('ul', 'weft-faces', this.bar);
    this.faces.setAttribute('aria-label', 'People here');
    this.notice = make('div', 'weft-notice', this);
    this.notice.hidden = true;
    this.notice.setAttribute('role', 'alert');
    this.stage = make('div', 'weft-stage', this);
    this.refusal = make('div', 'weft-notice weft-brief', this); // below the text, which stays where it is
    this.refusal.hidden = true;
    this.refusal.setAttribute('role', 'alert');
    this.say('away', 'Connecting…');
  }

  private say(kind: string, text: string): void {
    this.status.dataset.kind = kind;
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  /** Attributes often change several at a time; the connection is made once. */
  private restart(): void {
    if (this.starting || !this.isConnected || !this.bar) return;
    this.starting = true;
    queueMicrotask(() => {
      this.starting = false;
      this.end();
      if (this.isConnected) this.begin();
    });
  }

  private begin(): void {
    const doc = this.getAttribute('doc') ?? '';
    if (!doc) return this.say('bad', 'This editor has no document: set its attribute “doc”');
    if (!this.provider && !this.getAttribute('token')) return this.say('away', 'Waiting for a token');
    const type = this.getAttribute('type');
    const document = connect({
      server: this.getAttribute('server') ?? '',
      doc,
      token: () => this.provider?.() ?? this.getAttribute('token') ?? '',
      ...(type === 'rich' || type === 'text' ? { type: type } : {}),
      ...(this.getAttribute('user') ? { user: this.getAttribute('user') ?? '' } : {}),
    });
    this.document = document;
    document.on('reset', () => {
      if (!this.quill) this.show(document);
    });
    document.on('state', (s) => this.tell(s));
    document.on('peers', (peers) => this.showFaces(peers));
    this.tell(document.state);
  }

  private show(document: WeftDocument): void {
    this.stage.replaceChildren();
    const host = make('div', 'weft-page', this.stage);
    this.dataset.type = document.type;
    this.quill = makeQuill(host, document.type, this.getAttribute('placeholder') ?? '', (text) => this.refuse(text));
    this.quill.root.setAttribute('aria-label', `Document ${this.getAttribute('doc') ?? ''}`);
    this.quill.root.setAttribute('role', 'textbox');
    this.quill.root.setAttribute('aria-multiline', 'true');
    if (document.type === 'text') this.quill.root.spellcheck = false;
    this.binding = new Binding(this.quill, document, (delta, source) =>
      this.dispatchEvent(new CustomEvent('weft-change', { detail: { delta, source }, bubbles: true, composed: true })),
    );
    this.permit();
    this.dispatchEvent(new CustomEvent('weft-ready', { bubbles: true, composed: true }));
  }

  private end(): void {
    clearTimeout(this.refusalTimer);
    if (this.refusal) this.refusal.hidden = true;
    this.binding?.stop();
    this.binding = null;
    void this.document?.close();
    this.document = null;
    this.quill = null;
    this.stage?.replaceChildren();
    this.faces?.replaceChildren();
  }

  private permit(): void {
    const may = Boolean(this.document?.state.canWrite) && !this.hasAttribute('readonly');
    if (this.quill && this.quill.isEnabled() !== may) this.quill.enable(may);
    this.toggleAttribute('data-readonly', !may);
  }

  private tell(s: ConnectionState): void {
    const { kind, text } = statusOf(s);
    this.say(kind, text);
    this.permit();
    this.showNotice(s);
    if (!this.quill) this.showReason(s);
    this.dispatchEvent(new CustomEvent('weft-state', { detail: s, bubbles: true, composed: true }));
  }

  /** Why there is no document here, in its place. */
  private showReason(s: ConnectionState): void {
    const reason = reasonOf(s);
    this.stage.replaceChildren();
    if (!reason) return;
    const box = make('div', 'weft-reason', this.stage);
    make('h2', '', box).textContent = reason.title;
    make('p', '', box).textContent = reason.text;
    const again = make('button', '', box);
    again.type = 'button';
    again.textContent = 'Try again';
    again.addEventListener('click', () => this.restart());
  }

  /** Edits that cannot be saved are the user's to copy. */
  private showNotice(s: ConnectionState): void {
    this.notice.hidden = !s.unsentText || s.unsentText === this.copied;
    if (this.notice.hidden || !s.unsentText || this.notice.querySelector('pre')?.textContent === s.unsentText) return;
    this.notice.replaceChildren();
    make('p', '', this.notice).textContent = `Some of what you wrote could not be saved${s.error ? `: ${s.error.msg}` : ''}. Copy it before you go on.`;
    make('pre', '', this.notice).textContent = s.unsentText;
    const copy = make('button', '', this.notice);
    copy.type = 'button';
    copy.textContent = 'Copy my text';
    copy.addEventListener('click', () => {
      navigator.clipboard.writeText(s.unsentText ?? '').then(
        () => (copy.textContent = 'Copied'),
        () => getSelection()?.selectAllChildren(this.notice.querySelector('pre') ?? this.notice),
      );
    });
    const done = make('button', '', this.notice);
    done.type = 'button';
    done.textContent = 'Dismiss';
    done.addEventListener('click', () => {
      this.copied = s.unsentText ?? '';
      this.document?.dismiss();
      this.notice.hidden = true;
      this.quill?.focus();
    });
  }

  /** What was pasted did not come in: said for a while, beside whatever else there is to say. */
  private refuse(text: string): void {
    clearTimeout(this.refusalTimer);
    const away = () => {
      clearTimeout(this.refusalTimer);
      this.refusal.hidden = true;
    };
    this.refusal.replaceChildren();
    make('p', '', this.refusal).textContent = text;
    const done = make('button', '', this.refusal);
    done.type = 'button';
    done.textContent = 'Dismiss';
    done.addEventListener('click', () => {
      away();
      this.quill?.focus();
    });
    this.refusal.hidden = false;
    this.refusalTimer = setTimeout(away, refusedFor);
  }

  private showFaces(peers: Peer[]): void {
    const users = [...new Map(peers.map((p) => [p.user.id, p.user])).values()];
    this.faces.replaceChildren();
    for (const user of users.slice(0, mostFaces)) {
      const name = user.name || user.id;
      const face = make('span', 'weft-face', make('li', '', this.faces));
      face.title = name;
      face.setAttribute('role', 'img');
      face.setAttribute('aria-label', name);
      face.style.backgroundColor = colourOf(user.id);
      if (user.picture && /^https?:/.test(user.picture)) {
        const picture = make('img', '', face);
        picture.alt = '';
        picture.referrerPolicy = 'no-referrer';
        picture.src = user.picture;
      } else face.textContent = initials(name);
    }
    if (users.length > mostFaces) {
      const rest = users.slice(mostFaces).map((u) => u.name || u.id);
      const more = make('span', 'weft-face weft-more', make('li', '', this.faces));
      more.textContent = `+${rest.length}`;
      more.title = rest.join(', ');
      more.setAttribute('role', 'img');
      more.setAttribute('aria-label', `and ${rest.length} more: ${more.title}`);
    }
    this.dispatchEvent(new CustomEvent('weft-peers', { detail: peers, bubbles: true, composed: true }));
  }
}

export function define(): void {
  if (!customElements.get('weft-editor')) customElements.define('weft-editor', WeftEditor);
}

declare global {
  interface HTMLElementTagNameMap {
    'weft-editor': WeftEditor;
  }
}
