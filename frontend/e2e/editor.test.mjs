// Real browsers against real nodes. WEFT_URLS names one or more nodes of one installation, comma-separated,
// each a development server; where there are two, the two writers use one each. CHROMIUM names the browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';

const urls = (process.env.WEFT_URLS ?? 'http://localhost:8080').split(',');
const one = urls[0];
const two = urls[urls.length - 1];
const patience = 30_000;
let browser;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
});
after(() => browser?.close());

let drawn = 0;
const newDoc = () => `e2e-${process.pid}-${Date.now()}-${drawn++}`;

/** A writer in a browser of their own, so with a storage of their own. */
async function writer(name, t) {
  const context = await browser.newContext({ viewport: { width: 1100, height: 700 } });
  t.after(() => context.close());
  await context.addInitScript((n) => {
    if (!localStorage.getItem('weft-name')) localStorage.setItem('weft-name', JSON.stringify(n));
  }, name);
  return context;
}

async function open(context, url, doc, query = '') {
  const page = await context.newPage();
  page.errors = [];
  page.on('pageerror', (e) => page.errors.push(String(e)));
  await page.goto(`${url}/d/${doc}${query}`);
  await page.locator('weft-editor .ql-editor').waitFor({ timeout: patience });
  return page;
}

const text = (page) => page.evaluate(() => document.querySelector('weft-editor').quill.getText());
/** The document's content below the view, with the keys of objects in order. */
const content = (page) =>
  page.evaluate(() =>
    JSON.stringify(document.querySelector('weft-editor').document.content.ops, (_, v) =>
      v && typeof v === 'object' && !Array.isArray(v) ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1))) : v,
    ),
  );
const status = (page) => page.locator('weft-editor .weft-status');

async function until(what, f) {
  const end = Date.now() + patience;
  let last;
  while (Date.now() < end) {
    last = await f();
    if (last) return last;
    await new Promise((r) => setTimeout(r, 50));
  }
  assert.fail(`${what}: did not come about; last ${JSON.stringify(last)}`);
}

/** What this browser keeps of unsaved edits. */
const kept = (page) =>
  page.evaluate(async () => {
    const settled = (r) => new Promise((resolve, reject) => ((r.onsuccess = () => resolve(r.result)), (r.onerror = () => reject(r.error))));
    const db = await settled(indexedDB.open('weft'));
    const all = await settled(db.transaction('replicas').objectStore('replicas').getAll());
    db.close();
    return JSON.stringify(all.map((k) => [k.inFlight, k.buffer]));
  });

async function saved(page) {
  await until('everything is saved', async () => (await status(page).textContent()) === 'Saved');
}

/** Both hold the same, in the view and below it, and the view shows what is below it. */
async function agree(...pages) {
  for (const page of pages) await saved(page);
  await until('all hold the same', async () => new Set(await Promise.all(pages.map(content))).size === 1);
  await until('all show the same', async () => new Set(await Promise.all(pages.map(text))).size === 1);
  for (const page of pages) assert.deepEqual(page.errors, []);
  return text(pages[0]);
}

async function type(page, words) {
  await page.locator('weft-editor .ql-editor').focus();
  await page.keyboard.type(words, { delay: 5 });
}

const api = async (url, method, path, token, body) => {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.ok(response.ok, `${method} ${path}: ${response.status}`);
  return response.status === 204 ? null : response.json();
};

const tokenFor = async (url, doc, role = 'write', name = 'Robot') => {
  const response = await fetch(`${url}/dev/token`, { method: 'POST', body: JSON.stringify({ doc, role, name, sub: `robot-${role}` }) });
  return (await response.json()).token;
};

test('the start page makes a document, and lists it afterwards', async (t) => {
  const context = await writer('Ada', t);
  const page = await context.newPage();
  await page.goto(one);
  await page.getByRole('button', { name: 'New document' }).click();
  await page.locator('weft-editor .ql-editor').waitFor({ timeout: patience });
  const doc = await page.locator('#title').textContent();
  await type(page, 'first words');
  await saved(page);
  await page.getByRole('link', { name: 'Weft, start page' }).click();
  await page.getByRole('link', { name: doc }).click();
  await until('the words are there again', async () => (await text(page).catch(() => '')).includes('first words'));
});

test('two people write at once, see each other, and hold the same text', async (t) => {
  const doc = newDoc();
  const ada = await open(await writer('Ada', t), one, doc);
  const bob = await open(await writer('Bob', t), two, doc);
  await type(ada, 'Ada begins.\n');
  await until('Bob sees it', async () => (await text(bob)).includes('Ada begins.'));
  await bob.locator('weft-editor .ql-editor').press('Control+Home'); // two at one place would write into one another's words
  await Promise.all([type(ada, 'Ada writes on and on. '), type(bob, 'Bob writes at the same time. 😀')]);
  const all = await agree(ada, bob);
  for (const words of ['Ada begins.', 'Ada writes on and on. ', 'Bob writes at the same time. 😀']) {
    assert.equal(all.split(words).length, 2, `${words} stands once in ${all}`);
  }
  await until("Ada sees Bob's cursor and name", async () => (await ada.locator('.ql-cursor-name').allTextContents()).includes('Bob'));
  await until("Bob sees Ada's cursor and name", async () => (await bob.locator('.ql-cursor-name').allTextContents()).includes('Ada'));
  assert.deepEqual(await ada.locator('.weft-face').evaluateAll((f) => f.map((x) => x.title)), ['Bob']);
  await ada.locator('weft-editor .ql-editor').press('Control+a');
  await ada.locator('weft-editor .ql-bold').click();
  await agree(ada, bob);
  assert.ok((await content(bob)).includes('"bold":true'));
  if (process.env.WEFT_SCREENSHOT) await ada.screenshot({ path: process.env.WEFT_SCREENSHOT });
  await bob.close();
  await until('Bob is gone', async () => (await ada.locator('.weft-face').count()) === 0);
});

test('two tabs of one browser are two participants, and neither loses an edit', async (t) => {
  const doc = newDoc();
  const context = await writer('Ada', t);
  const left = await open(context, one, doc);
  await type(left, 'left. ');
  await saved(left);
  const right = await open(context, one, doc);
  await until('the right tab has it', async () => (await text(right)).includes('left. '));
  await right.locator('weft-editor .ql-editor').press('Control+End');
  await context.setOffline(true); // what both write now is kept in one place, side by side
  await type(left, 'more left. ');
  await type(right, 'right. ');
  await until('both are kept', async () => /more left/.test(await kept(left)) && /right/.test(await kept(left)));
  await context.setOffline(false);
  const all = await agree(left, right);
  for (const words of ['more left. ', 'right. ']) assert.equal(all.split(words).length, 2, `${words} stands once in ${all}`);
});

test('the link to share is copied without the token, and the page says so', async (t) => {
  const doc = newDoc();
  const context = await writer('Ada', t);
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const token = await tokenFor(one, doc);
  const page = await open(context, one, doc, `#token=${token}`);
  await page.getByRole('button', { name: 'Copy link' }).click();
  await page.getByRole('button', { name: 'Copied' }).waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `${new URL(one).origin}/d/${doc}`);
  assert.equal(await page.locator('#said').textContent(), 'The link was copied');
  assert.equal(await page.title(), `${doc} – Weft`);
});

test('a link whose token is not good says so, and one that grants nothing too', async (t) => {
  const context = await writer('Eve', t);
  const page = await context.newPage();
  await page.goto(`${one}/d/${newDoc()}#token=nonsense`);
  await page.getByText('The token in this link is not taken any more').waitFor({ timeout: patience });
  const other = await context.newPage();
  await other.goto(`${one}/d/${newDoc()}#token=${await tokenFor(one, newDoc())}`);
  await other.getByRole('heading', { name: 'You have no access to this document' }).waitFor({ timeout: patience });
  assert.equal(await status(other).textContent(), 'You have no access to this document');
});

test('everything can be found by its name', async (t) => {
  const page = await open(await writer('Ada', t), one, newDoc());
  const bar = page.getByRole('toolbar', { name: 'Formatting' });
  for (const name of [
    'Heading',
    'Bold',
    'Italic',
    'Underline',
    'Strikethrough',
    'Link',
    'Numbered list',
    'Bulleted list',
    'Checklist',
    'Quotation',
    'Code block',
    'Text colour',
    'Background colour',
    'Clear formatting',
  ]) {
    assert.equal(await bar.getByRole('button', { name: new RegExp(`^${name}`) }).count(), 1, name);
  }
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll('button, input, a')]
      .filter((e) => e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.querySelector('img[alt]:not([alt=""])')))
      .map((e) => e.outerHTML),
  );
  assert.deepEqual(nameless, []);
  await page.getByRole('textbox', { name: /^Document/ }).waitFor();
  await page.getByRole('textbox', { name: 'Your name' }).waitFor();
});

test('the page fits a telephone', async (t) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  t.after(() => context.close());
  for (const path of ['/', `/d/${newDoc()}`]) {
    const page = await context.newPage();
    await page.goto(one + path);
    if (path !== '/') await page.locator('weft-editor .ql-editor').waitFor({ timeout: patience });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390, path);
    assert.deepEqual(
      await page.evaluate(
        () => [...document.querySelectorAll('button, input')].filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > 391).length,
      ),
      0,
      path,
    );
  }
});

test('a page of another origin embeds the editor in ten lines', { skip: !process.env.WEFT_EMBED && 'WEFT_EMBED names no such page' }, async (t) => {
  const context = await writer('Ada', t);
  const page = await context.newPage();
  page.errors = [];
  page.on('pageerror', (e) => page.errors.push(String(e)));
  await page.goto(process.env.WEFT_EMBED);
  await page.locator('weft-editor .ql-editor').waitFor({ timeout: patience });
  const words = `embedded ${newDoc()}. `;
  await type(page, words);
  await until('it is saved, and the page is told', async () => (await status(page).textContent()) === 'Saved' && (await text(page)).includes(words));
  const got = await api(two, 'GET', '/v1/docs/handbook', await tokenFor(two, 'handbook'));
  assert.ok(JSON.stringify(got.content).includes(words));
  assert.deepEqual(page.errors, []);
});

test('undo takes back what one wrote oneself, and nothing of others', async (t) => {
  const doc = newDoc();
  const ada = await open(await writer('Ada', t), one, doc);
  const bob = await open(await writer('Bob', t), two, doc);
  await type(ada, 'mine ');
  await until('Bob has it', async () => (await text(bob)).includes('mine'));
  await bob.locator('weft-editor .ql-editor').press('Control+End');
  await type(bob, 'yours');
  await agree(ada, bob);
  await ada.locator('weft-editor .ql-editor').press('Control+z');
  assert.equal((await agree(ada, bob)).trim(), 'yours');
});

test('a reader sees everything and changes nothing', async (t) => {
  const doc = newDoc();
  const ada = await open(await writer('Ada', t), one, doc);
  await type(ada, 'to be read');
  await saved(ada);
  const eve = await open(await writer('Eve', t), two, doc, '?role=read');
  await until('Eve reads it', async () => (await text(eve)).includes('to be read'));
  assert.equal(await status(eve).textContent(), 'Read only');
  assert.equal(await eve.locator('weft-editor .ql-editor').getAttribute('contenteditable'), 'false');
  assert.equal(await eve.locator('.ql-toolbar').isVisible(), false);
  await type(ada, ' more');
  await until('Eve reads on', async () => (await text(eve)).includes('to be read more'));
});

test('what is written offline is kept, and goes out when the network is back', async (t) => {
  const doc = newDoc();
  const context = await writer('Ada', t);
  const ada = await open(context, one, doc);
  const bob = await open(await writer('Bob', t), two, doc);
  await type(ada, 'before. ');
  await agree(ada, bob);
  await context.setOffline(true);
  await type(ada, 'offline. ');
  await until('Ada is told', async () => /Not saved yet|Offline/.test(await status(ada).textContent()));
  await bob.locator('weft-editor .ql-editor').press('Control+End');
  await type(bob, 'meanwhile. ');
  await saved(bob);
  await context.setOffline(false);
  const all = await agree(ada, bob);
  for (const words of ['before. ', 'offline. ', 'meanwhile. ']) assert.equal(all.split(words).length, 2, `${words} stands once in ${all}`);
});

test('a page closed with unsaved edits has them when it is opened again', async (t) => {
  const doc = newDoc();
  const context = await writer('Ada', t);
  const ada = await open(context, one, doc);
  await type(ada, 'saved. ');
  await saved(ada);
  await context.setOffline(true);
  await type(ada, 'unsaved. ');
  await until('they are on this device', async () => /kept on this device/.test(await status(ada).textContent()));
  await until('the last key is too', async () => (await kept(ada)).includes('unsaved. '));
  await ada.close();
  await context.setOffline(false);
  const again = await open(context, one, doc); // what is kept belongs to the origin
  await until('both are there', async () => (await text(again)).includes('saved. unsaved. '));
  await saved(again);
  const bob = await open(await writer('Bob', t), one, doc);
  await until('Bob has them, once', async () => (await text(bob)).split('unsaved. ').length === 2);
});

test('what Quill does not know stays in the document, and the page opens', async (t) => {
  const doc = newDoc();
  const strange = [
    { insert: 'known ' },
    { insert: { hologram: { depth: 3 } } },
    { insert: ' glowing', attributes: { glow: 'green', bold: true } },
    { insert: { image: { not: 'text' } } },
    { insert: '\n', attributes: { list: { deep: true }, shelf: 2 } },
  ];
  await api(one, 'POST', '/v1/docs', await tokenFor(one, doc), { id: doc, content: strange });
  const ada = await open(await writer('Ada', t), one, doc);
  assert.ok((await text(ada)).includes('glowing'));
  assert.equal(await ada.locator('.weft-unknown').count(), 2);
  await ada.locator('weft-editor .ql-editor').press('Control+Home');
  await type(ada, 'typed ');
  await saved(ada);
  const got = await api(two, 'GET', `/v1/docs/${doc}`, await tokenFor(two, doc));
  assert.deepEqual(got.content, [
    { insert: 'typed known ' },
    { insert: { hologram: { depth: 3 } } },
    { insert: ' glowing', attributes: { bold: true, glow: 'green' } },
    { insert: { image: { not: 'text' } } },
    { insert: '\n', attributes: { list: { deep: true }, shelf: 2 } },
  ]);
  assert.deepEqual(ada.errors, []);
});

test('plain text stays plain', async (t) => {
  const doc = newDoc();
  const ada = await open(await writer('Ada', t), one, doc, '?type=text');
  const bob = await open(await writer('Bob', t), two, doc);
  await type(ada, 'if (a < b) {\n');
  await ada.keyboard.press('Tab');
  await ada.keyboard.type('return "ü😀";\n}');
  assert.equal(await ada.locator('.ql-toolbar').count(), 0);
  assert.match(await ada.locator('weft-editor .ql-editor').evaluate((e) => getComputedStyle(e).fontFamily), /monospace/);
  await agree(ada, bob);
  await ada.locator('weft-editor .ql-editor').press('Control+b');
  await type(ada, ' // end');
  await agree(ada, bob);
  const got = await api(one, 'GET', `/v1/docs/${doc}`, await tokenFor(one, doc));
  assert.equal(got.type, 'text');
  assert.deepEqual(got.content, [{ insert: 'if (a < b) {\n\treturn "ü😀";\n} // end' }]);
});

test('long bursts from three at once come together', async (t) => {
  const doc = newDoc();
  const pages = [];
  for (const [i, name] of ['Ada', 'Bob', 'Cy'].entries()) pages.push(await open(await writer(name, t), urls[i % urls.length], doc));
  await type(pages[0], '\n\n'); // a line for each
  await agree(...pages);
  await Promise.all(
    pages.map(async (page, i) => {
      await page.locator('weft-editor .ql-editor').press('Control+Home');
      for (let n = 0; n < i; n++) await page.keyboard.press('ArrowDown');
      for (let n = 0; n < 15; n++) {
        await page.keyboard.type(`${'ABC'[i]}${n}. `);
        if (n % 4 === 3) await page.keyboard.press('Enter');
        if (n % 5 === 4) await page.keyboard.press('Control+b');
      }
    }),
  );
  const all = await agree(...pages);
  for (const name of 'ABC') for (let n = 0; n < 15; n++) assert.equal(all.split(`${name}${n}. `).length, 2, `${name}${n} stands once in ${all}`);
});
