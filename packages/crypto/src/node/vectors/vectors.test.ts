import { describe, expect, it } from 'vitest';
import { backend } from '#backend';
import { backend as node } from '../backend.ts';
import { checkVectors } from './check.fixture.ts';

describe('published vectors on the Node backend', () => {
  it('is the backend that this runtime gets', () => {
    expect(backend).toBe(node);
  });
  checkVectors(node.sha256);
});
