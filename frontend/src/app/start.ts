// The start page: make a document, open one, or go back to one.
import './app.css';
import { drawId, recents, validId } from './places';

function byId<T extends HTMLElement>(id: string): T {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node as T;
}

const go = (doc: string, type = '') => location.assign(`/d/${encodeURIComponent(doc)}${type && `?type=${type}`}`);

byId('new-rich').addEventListener('click', () => go(drawId()));
byId('new-text').addEventListener('click', () => go(drawId(), 'text'));
byId('open').addEventListener('submit', (e) => {
  e.preventDefault();
  const doc = byId<HTMLInputElement>('doc').value.trim();
  if (validId(doc)) return go(doc);
  byId('problem').textContent = doc
    ? 'A name has letters, digits and . _ ~ : - and begins with a letter or digit.'
    : 'Type a name first. A document of that name is made where there is none.';
  byId('doc').focus();
});

const list = recents();
byId('no-recent').hidden = list.length > 0;
for (const { doc, at } of list) {
  const item = document.createElement('li');
  const link = document.createElement('a');
  link.href = `/d/${encodeURIComponent(doc)}`;
  link.textContent = doc;
  const time = document.createElement('time');
  time.dateTime = new Date(at).toISOString();
  time.textContent = new Date(at).toLocaleDateString(undefined, { dateStyle: 'medium' });
  item.append(link, time);
  byId('recent').append(item);
}
