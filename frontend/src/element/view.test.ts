import Delta from 'quill-delta';
import { expect, test } from 'vitest';
import { showsFormat } from './formats';
import { contentToView, toView, type Shows } from './view';

const rich: Shows = { type: 'rich', format: showsFormat, embed: () => false };
const line = (attributes?: Record<string, unknown>) => new Delta().insert('a').insert('\n', attributes);

test('a format is not shown with a value that the editor does not have', () => {
  for (const attributes of [
    ...[9, 0, -1, 1.5, 'x', '7', true, false, {}].map((header) => ({ header })),
    ...['weird', true, 1, ''].map((list) => ({ list })),
    ...['x', 'left', true].map((align) => ({ align })),
    ...[99, 0, '+1', '3', 1.5].map((indent) => ({ indent })),
    { direction: 'up' },
    { blockquote: 'x' },
    { script: 9 },
    { glow: 'green' },
    { constructor: true },
    { link: 'javascript:x' },
    { link: 9 },
  ])
    expect(contentToView(line(attributes), rich).ops, JSON.stringify(attributes)).toEqual([{ insert: 'a\n' }]);
  for (const attributes of [
    { header: 6 },
    { header: '2' },
    { list: 'checked' },
    { align: 'center' },
    { indent: 8 },
    { direction: 'rtl' },
    { blockquote: true },
    { 'code-block': 'go' },
    { script: 'sub', bold: true, link: 'https://example.com' },
  ])
    expect(contentToView(line(attributes), rich).ops, JSON.stringify(attributes)).toEqual(line(attributes).ops);
});

test('a value that cannot be shown takes the place of one that was shown', () => {
  const change = new Delta().retain(1, { header: 9, glow: 'green', bold: true }).retain(1, { list: null });
  expect(toView(change, rich).ops).toEqual([
    { retain: 1, attributes: { header: null, bold: true } },
    { retain: 1, attributes: { list: null } },
  ]);
});
