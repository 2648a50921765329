import { describe, expect, it, vi } from 'vitest';
import { backend } from '#backend';
import { backend as browser } from '../../browser/backend.ts';
import { checkVectors } from './check.fixture.ts';

vi.mock('#backend', () => import('../../browser/backend.ts'));

describe('published vectors on the browser backend', () => {
  it('is the backend that stands in here', () => {
    expect(backend).toBe(browser);
  });
  checkVectors(browser.sha256);
});
