/** The service's own OpenPGP key, in its folder: `service-key.asc` (0600) and, for the gateway, `service-public.asc`. */
import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceKey } from '@astis/crypto/service-message';
import { generateServiceKey, readServiceKey } from '@astis/crypto/service-message';

/** Written whole and flushed before it has its name; where two start at once, the first one's stays. */
function keep(path: string, content: string, mode: number): void {
  const fresh = `${path}.${randomBytes(6).toString('hex')}`;
  writeFileSync(fresh, content, { mode, flag: 'wx', flush: true });
  try {
    linkSync(fresh, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** Reads the key, which is made where there is none yet. */
export async function loadServiceKey(folder: string): Promise<ServiceKey> {
  const path = join(folder, 'service-key.asc');
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    keep(path, (await generateServiceKey('ASTIS key custody service')).privateKey, 0o600);
  }
  const key = await readServiceKey(readFileSync(path, 'utf8'));
  const publicPath = join(folder, 'service-public.asc');
  if (!existsSync(publicPath)) keep(publicPath, key.publicKey.armor(), 0o644);
  return key;
}
