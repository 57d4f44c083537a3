// The formats of the editor, with the values that Quill can show of each. It makes an element that
// is none of a value that it does not expect, or shows another value than the document has.
import { mayFollow } from './link';

type Has = (value: unknown) => boolean;
const oneOf =
  (...values: unknown[]): Has =>
  (value) =>
    values.includes(value);
const some: Has = (value) => (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') && Boolean(value);

const inline: Record<string, Has> = {
  bold: some,
  italic: some,
  underline: some,
  strike: some,
  code: some,
  link: (value) => typeof value === 'string' && value !== '' && mayFollow(value),
  script: oneOf('sub', 'super'),
  color: some,
  background: some,
  font: oneOf('serif', 'monospace'),
  size: oneOf('small', 'large', 'huge'),
};

const block: Record<string, Has> = {
  header: oneOf(1, 2, 3, 4, 5, 6, '1', '2', '3', '4', '5', '6'),
  blockquote: oneOf(true),
  'code-block': some, // some editors have the language here
  list: oneOf('ordered', 'bullet', 'checked', 'unchecked'),
  indent: oneOf(1, 2, 3, 4, 5, 6, 7, 8),
  align: oneOf('right', 'center', 'justify'),
  direction: oneOf('rtl'),
};

/** Formats of which a line shows one: where it has more, from edits made at once, the first of these. */
export const blockFormats = ['code-block', 'list', 'header', 'blockquote'];

const formats = new Map(Object.entries({ ...inline, ...block }));

export const formatNames = [...formats.keys()];

/** Whether Quill can show the value of a format; null, as none, of each that it knows. */
export function showsFormat(name: string, value: unknown): boolean {
  const has = formats.get(name);
  return has !== undefined && (value === null || has(value));
}
