/** The development CA of a folder: TLS certificates for the stack's own processes on this computer. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Credentials } from './authority.ts';
import { createCertificateAuthority, openCertificateAuthority } from './authority.ts';

export interface TlsFiles {
  /** Paths of PEM files. */
  readonly cert: string;
  readonly key: string;
}

export interface DevelopmentCa {
  /** Path of the CA's certificate, PEM. */
  readonly cert: string;
  /** Certificate and key for `name`; those that are there already are kept. */
  issue(name: string, usage: 'server' | 'client'): Promise<TlsFiles>;
}

/** The certificate comes last and whole: where it is, the key is too, whenever a run before this one was cut short. */
function save(files: TlsFiles, { certificate, privateKey }: Credentials): void {
  writeFileSync(files.key, privateKey, { mode: 0o600, flush: true });
  writeFileSync(`${files.cert}.new`, certificate, { mode: 0o644, flush: true });
  renameSync(`${files.cert}.new`, files.cert);
}

/** The CA of a folder, made on the first call. */
export async function developmentCa(folder: string): Promise<DevelopmentCa> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const filesOf = (name: string): TlsFiles => ({
    cert: join(folder, `${name}.pem`),
    key: join(folder, `${name}-key.pem`),
  });
  const own = filesOf('ca');
  if (!existsSync(own.cert)) save(own, await createCertificateAuthority());
  const authority = await openCertificateAuthority({
    certificate: readFileSync(own.cert, 'utf8'),
    privateKey: readFileSync(own.key, 'utf8'),
  });
  return {
    cert: own.cert,
    async issue(name, usage) {
      const files = filesOf(name);
      if (existsSync(files.cert)) return files;
      save(
        files,
        usage === 'server'
          ? await authority.issueServer([name, 'localhost', '127.0.0.1', '::1'])
          : await authority.issueClient(name),
      );
      return files;
    },
  };
}
