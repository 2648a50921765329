/** Certificate authorities for tests, in the form that TLS options take. */
import type { Credentials } from '@astis/testkit';
import { createCertificateAuthority, openCertificateAuthority } from '@astis/testkit';

export interface TlsPair {
  /** PEM. */
  readonly cert: string;
  readonly key: string;
}

export interface TestCa {
  readonly cert: string;
  issue(name: string, usage: 'server' | 'client'): Promise<TlsPair>;
}

const pairOf = ({ certificate, privateKey }: Credentials): TlsPair => ({
  cert: certificate,
  key: privateKey,
});

export async function newCa(): Promise<TestCa> {
  const authority = await openCertificateAuthority(await createCertificateAuthority());
  return {
    cert: authority.certificate,
    issue: async (name, usage) =>
      pairOf(
        await (usage === 'server'
          ? authority.issueServer([name, 'localhost', '127.0.0.1'])
          : authority.issueClient(name)),
      ),
  };
}
