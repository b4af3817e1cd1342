import { parseReference } from '../registry/core/reference.ts';
import { imageAllowed, InvalidRules, namespaceAllowed, namespaceAsks, parseRules } from './rules.ts';
import { RULES } from '../test/fakes/rules.ts';

const rules = {
  ...RULES,
  include: { images: ['ghcr.io/*', 'docker.io/*'], namespaces: ['team-*'] },
  exclude: { images: ['ghcr.io/huge/*'], namespaces: ['team-secret'] },
};

describe('the rules of the administrator', () => {
  it('are read back as they were written', () => {
    expect(parseRules(JSON.stringify(rules))).toEqual(rules);
  });

  it.each(['', '[]', '{}', JSON.stringify({ ...rules, mode: 'sometimes' })])('refuse %s', (text) => {
    expect(() => parseRules(text)).toThrow(InvalidRules);
  });

  it.each([
    ['ghcr.io/acme/app:1', true],
    ['ghcr.io/huge/model:1', false],
    ['quay.io/acme/app:1', false],
    ['nginx', true],
  ])('say of the image %s: %s', (image, allowed) => {
    expect(imageAllowed(rules, parseReference(image))).toBe(allowed);
  });

  it.each([
    ['team-a', true],
    ['team-secret', false],
    ['default', false],
  ])('say of the namespace %s: %s', (namespace, allowed) => {
    expect(namespaceAllowed(rules, namespace)).toBe(allowed);
  });

  it('let namespaces opt in or out', () => {
    const asks = (mode: 'optIn' | 'optOut') =>
      ['enabled', 'disabled', undefined].map((label) => namespaceAsks({ ...rules, mode }, label));
    expect(asks('optIn')).toEqual([true, false, false]);
    expect(asks('optOut')).toEqual([true, false, true]);
  });
});
