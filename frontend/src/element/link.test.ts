import { expect, test } from 'vitest';
import { addressIn, addressOf, mayFollow, refusal } from './link';

test('links of a document are followed where their scheme is known', () => {
  for (const good of ['http://a', 'https://a/b', 'mailto:a@b.c', 'tel:+1555', 'sms:+1555', 'HTTPS://A', '/here', 'page', '#part'])
    expect(mayFollow(good), good).toBe(true);
  for (const bad of [
    'javascript:x',
    ' javascript:x',
    'JAVA\tSCRIPT:x',
    '\u0001javascript:x',
    'data:text/html,x',
    'vbscript:x',
    'about:blank',
    'blob:x',
    'https://',
  ])
    expect(mayFollow(bad), bad).toBe(false);
});

test('a typed address is completed, or refused', () => {
  for (const [typed, address] of [
    ['https://example.com', 'https://example.com'],
    [' http://example.com/a?b#c ', 'http://example.com/a?b#c'],
    ['mailto:a@example.com', 'mailto:a@example.com'],
    ['tel:5550100', 'tel:5550100'],
    ['example.com/x', 'https://example.com/x'],
    ['//example.com/x', 'https://example.com/x'],
    ['example.com:8080/x', 'https://example.com:8080/x'],
    ['localhost:8080', 'https://localhost:8080'],
    ['wiki', 'https://wiki'],
    ['example.com/a:b', 'https://example.com/a:b'],
    ['a@example.com', 'mailto:a@example.com'],
  ] as const)
    expect(addressOf(typed), typed).toBe(address);
  for (const typed of [
    '',
    ' ',
    'javascript:alert(1)',
    'javascript:1',
    'JavaScript:x',
    'java\tscript:x',
    '\u0001javascript:x',
    'data:text/html,x',
    'vbscript:x',
    'file:///etc/passwd',
    'two words',
    'https://',
    '/here',
    '#part',
    './x',
  ])
    expect(addressOf(typed), JSON.stringify(typed)).toBe(null);
});

test('what is taken is said', () => {
  for (const scheme of ['http:', 'https:', 'mailto:', 'tel:']) expect(refusal).toContain(scheme);
});

test('a selected text is offered only where it is an address', () => {
  for (const text of ['https://example.com/a', 'example.com', 'www.example.com/a?b', 'mailto:a@b.c', 'tel:+1555']) expect(addressIn(text), text).toBe(text);
  expect(addressIn('a@example.com')).toBe('mailto:a@example.com');
  for (const text of ['words', 'two words', 'e.g.', 'and/or', '3.14', 'javascript:x', 'see https://example.com', 'note: this', ''])
    expect(addressIn(text), text).toBe('');
});
