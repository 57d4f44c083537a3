// A document's page: the editor, a name, and a link to share.
import './app.css';
import type { ConnectionState } from '../client';
import { define, type WeftEditor } from '../element/weft-editor';
import { remember, rename, user, validId } from './places';

const doc = decodeURIComponent(location.pathname.replace(/^\/d\//, ''));
const fragment = new URLSearchParams(location.hash.slice(1)).get('token');

function byId<T extends HTMLElement>(id: string): T {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node as T;
}

/** A token from a development server; null where this is none. */
async function devToken(): Promise<string | null> {
  const { sub, name } = user();
  const role = new URLSearchParams(location.search).get('role') ?? undefined;
  const response = await fetch('/dev/token', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ doc, name, sub, role }),
  });
  if (response.status === 404 || response.status === 405) return null;
  if (!response.ok) throw new Error(`no token: the server answers ${response.status}`);
  return ((await response.json()) as { token: string }).token;
}

const editor = byId<WeftEditor>('editor');
const name = byId<HTMLInputElement>('name');

function showNoToken(stale: boolean): void {
  editor.hidden = true;
  byId('share').hidden = true;
  byId('no-token').hidden = false;
  byId('stale-token').hidden = !stale;
}

function provide(): void {
  editor.tokenProvider = async () => {
    if (fragment) return fragment;
    const token = await devToken();
    if (token === null) {
      showNoToken(false);
      throw new Error('no token');
    }
    return token;
  };
}

function open(): void {
  document.title = `${doc} – Weft`;
  byId('title').textContent = doc;
  if (fragment)
    name.parentElement?.remove(); // the token has the name
  else name.value = user().name;
  const type = new URLSearchParams(location.search).get('type');
  if (type) editor.setAttribute('type', type);
  if (!fragment) editor.setAttribute('user', user().sub);
  editor.setAttribute('doc', doc);
  define();
  provide();
  editor.addEventListener('weft-state', (e) => {
    const { error } = (e as CustomEvent<ConnectionState>).detail;
    if (fragment && (error?.code === 'bad_token' || error?.code === 'no_token') && !editor.quill) showNoToken(true); // no other one will come
  });
  editor.addEventListener('weft-ready', () => {
    remember(doc);
    editor.focus();
  });
}

name.addEventListener('change', () => {
  rename(name.value.trim());
  name.value = user().name;
  provide(); // another token, another connection
});

byId('share').addEventListener('click', () => {
  const said = byId('said');
  const button = byId('share');
  const link = `${location.origin}/d/${encodeURIComponent(doc)}`; // without the token: that is one's own
  navigator.clipboard.writeText(link).then(
    () => {
      button.textContent = 'Copied';
      said.textContent = 'The link was copied';
      setTimeout(() => (button.textContent = 'Copy link'), 2000);
    },
    () => window.prompt('Copy this link', link),
  );
});

if (validId(doc)) open();
else {
  document.title = 'No such document – Weft';
  byId('title').textContent = 'No such document';
  for (const node of [editor, byId('share'), name.closest('label')]) node?.remove();
  byId('no-name').hidden = false;
}
