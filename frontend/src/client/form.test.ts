import { readFileSync } from 'node:fs';
import Delta, { type Op } from 'quill-delta';
import { describe, expect, test } from 'vitest';
import { apply, diff, type DocumentType, equalJSON, fromWire, inForm } from './form';

interface Pair {
  name: string;
  type: DocumentType;
  doc: Op[];
  a: Op[];
  b: Op[];
  first: Op[];
  second: Op[];
  composed: Op[];
  inverted: Op[];
  after: Op[];
  both: Op[];
  positions: [number, number][];
}

/** The cases to which the Go package is held as well. */
const cases = JSON.parse(readFileSync(new URL('../../../ot/testdata/cases.json', import.meta.url), 'utf8')) as {
  pairs: Pair[];
  refused: { name: string; type: DocumentType; doc: Op[]; edit: Op[] }[];
};

const delta = (ops: Op[]) => fromWire(structuredClone(ops));

describe('what Go makes of a pair of edits, TypeScript makes too:', () => {
  test.each(cases.pairs)('$name', (c) => {
    const [doc, a, b] = [delta(c.doc), delta(c.a), delta(c.b)];
    const second = a.transform(b, true);
    expect(second.ops).toEqual(c.first);
    expect(a.transform(b, false).ops).toEqual(c.second);
    expect(a.compose(second).ops).toEqual(c.composed);
    expect(a.invert(doc).ops).toEqual(c.inverted);
    expect(c.positions.map((_, i) => [a.transformPosition(i, true), a.transformPosition(i, false)])).toEqual(c.positions);
    expect(apply(doc, a).ops).toEqual(c.after);
    expect(apply(apply(doc, a), second).ops).toEqual(c.both);
    expect(apply(doc, diff(c.type, doc, delta(c.both))).ops).toEqual(c.both);
  });

  test.each(cases.pairs)('$name: in form, and stays as it is', (c) => {
    const doc = delta(c.doc);
    const { delta: formed, correction } = inForm(c.type, doc, delta(c.a));
    expect(correction).toBeNull();
    expect(apply(doc, formed as Delta).ops).toEqual(c.after);
    if (!c.a.some((op) => op.insert !== undefined && Object.values(op.attributes ?? {}).includes(null))) expect(formed?.ops).toEqual(c.a);
  });
});

describe('what Go refuses is never sent:', () => {
  test.each(cases.refused)('$name', (c) => {
    const doc = delta(c.doc);
    if (c.edit.some((op) => typeof op.retain === 'object')) {
      expect(() => inForm(c.type, doc, delta(c.edit))).toThrow(TypeError);
      return;
    }
    const { delta: formed } = inForm(c.type, doc, delta(c.edit));
    if (formed === null) {
      expect(JSON.stringify(doc.compose(delta(c.edit)).ops)).toMatch(/\\ud[89a-f]/); // it waits for the other half
      return;
    }
    expect(equalJSON(formed.ops, c.edit)).toBe(false);
    expect(inForm(c.type, doc, formed)).toEqual({ delta: formed, correction: null });
    const after = apply(doc, formed);
    expect(after.ops.every((op) => op.insert !== undefined)).toBe(true);
    expect(JSON.stringify(after.ops)).not.toMatch(/\\ud[89a-f]/);
    if (c.type === 'rich') expect(after.ops.at(-1)?.insert).toMatch(/[^\r]*\n$/);
  });
});

test('the difference of contents that hold halves of pairs is found, and ends', () => {
  const parts = ['a', '\n', '\ud83d', '\ude00', '\u{1f600}', '\u{1f601}'];
  const drawn = (from: number, attributes?: Record<string, unknown>) =>
    [0, 1, 2].reduce((d, i) => d.insert(parts[Math.floor(from / parts.length ** i) % parts.length] ?? '', i === 1 ? attributes : {}), new Delta());
  const wrong: unknown[] = [];
  for (const attributes of [{}, { bold: true }])
    for (let n = 0; n < parts.length ** 6; n++) {
      const [a, b] = [drawn(n, attributes), drawn(n / parts.length ** 3)];
      if (!equalJSON(a.compose(diff('text', a, b)).ops, b.ops)) wrong.push([a.ops, b.ops]);
    }
  expect(wrong).toEqual([]);
});
