import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as objects from './arbitraries.fixture.ts';
import { decodeLink, encodeLink } from './formats.ts';

it('a rewrap link comes back as it was given, its two ends kept apart', () => {
  fc.assert(
    fc.property(objects.link, (link) => {
      expect(decodeLink(encodeLink(link))).toEqual(link);
      const turned = { ...link, from: link.to, to: link.from };
      if (JSON.stringify(link.from) !== JSON.stringify(link.to))
        expect(encodeLink(turned)).not.toEqual(encodeLink(link));
    }),
  );
});
