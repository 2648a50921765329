import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, readConfig } from './config.ts';

describe('configuration', () => {
  let folder: string;
  let env: Record<string, string>;
  const connection = { host: '/run/pg', port: 5432, user: 'u', password: 'p', database: 'd' };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'astis-config-'));
    const file = (name: string, content: string) => {
      const path = join(folder, name);
      writeFileSync(path, content);
      return path;
    };
    const certificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    env = {
      ASTIS_CVS_LISTEN: '127.0.0.1:8444',
      ASTIS_CVS_TLS_CERT: file('cert', certificate),
      ASTIS_CVS_TLS_KEY: file('key', 'key'),
      ASTIS_CVS_TLS_CLIENT_CA: file('ca', certificate),
      ASTIS_CVS_TLS_CLIENT_CERTS: file('pins', certificate + certificate),
      ASTIS_CVS_DATABASE: file('database', JSON.stringify(connection)),
      ASTIS_CVS_ROOT_KEY: join(folder, 'never-read-here'),
      ASTIS_CVS_KEYS: folder,
      ASTIS_OPERATOR_KEY: file('operator', 'AAAA\n'),
      ASTIS_GATEWAY_SERVICE_KEY: file('gateway', 'armor'),
      ASTIS_LOG_ORIGIN: 'astis.test/log',
    };
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const refusal = (changes: Record<string, string | undefined>): string => {
    try {
      readConfig({ ...env, ...changes });
    } catch (error) {
      if (error instanceof ConfigError) return error.message;
      throw error;
    }
    throw new Error('it was taken');
  };

  test('is read from files; the root key is not', () => {
    const config = readConfig(env);
    expect(config).toMatchObject({
      host: '127.0.0.1',
      port: 8444,
      database: connection,
      operatorKey: 'AAAA',
    });
    expect(config.tls.clientCerts).toHaveLength(2);
    expect(config.rootKeyFile).toBe(join(folder, 'never-read-here'));
    expect(readConfig({ ...env, ASTIS_CVS_TLS_CLIENT_CERTS: undefined }).tls.clientCerts).toBeUndefined();
  });

  test('names each setting that is missing or can’t be read', () => {
    const needed = Object.keys(env).filter((name) => name !== 'ASTIS_CVS_TLS_CLIENT_CERTS');
    for (const name of needed) expect(refusal({ [name]: undefined })).toContain(name);
    for (const name of needed.filter((each) => !/LISTEN|ROOT_KEY|KEYS|ORIGIN/.test(each)))
      expect(refusal({ [name]: join(folder, 'absent') })).toContain(name);
  });

  test('refuses what makes no sense', () => {
    for (const listen of ['8444', 'host', 'host:', 'host:70000', ':1', 'host:x'])
      expect(refusal({ ASTIS_CVS_LISTEN: listen })).toContain('ASTIS_CVS_LISTEN');
    for (const count of ['0', '-1', '1.5', 'many'])
      expect(refusal({ ASTIS_CVS_WORKERS: count })).toContain('ASTIS_CVS_WORKERS');
    // A pin file that pins nothing must not mean that anybody is taken.
    expect(refusal({ ASTIS_CVS_TLS_CLIENT_CERTS: env['ASTIS_CVS_TLS_KEY'] })).toContain('CLIENT_CERTS');
  });

  test('repeats nothing of a database file that it can’t use', () => {
    const path = join(folder, 'broken');
    for (const text of [
      '{"password": "a-telling-word"',
      '{"password": "a-telling-word"}',
      '[]',
      'null',
      '7',
    ]) {
      writeFileSync(path, text);
      const message = refusal({ ASTIS_CVS_DATABASE: path });
      expect(message).toContain('ASTIS_CVS_DATABASE');
      expect(message).not.toContain('telling');
    }
  });
});
