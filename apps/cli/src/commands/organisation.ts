/** `astis organisation`: the organisation's own key. */
import { Page, Rotation } from '@astis/protocol';
import { custodyOrder } from '@astis/sdk';
import type { Session } from '../session.ts';
import { table, time } from '../terminal/output.ts';

const row = (rotation: Rotation): string[] => [
  rotation.id,
  rotation.status,
  `${rotation.done} of ${rotation.total}`,
  time(rotation.startedAt),
  time(rotation.finishedAt),
];
const HEAD = ['ROTATION', 'STATUS', 'REWRAPPED', 'STARTED', 'FINISHED'];

export async function status({ client, output }: Session): Promise<void> {
  const page = await client.get('/v1/organisation/rotations', Page(Rotation));
  output.result(
    page,
    page.items.length === 0 ? 'The key was never rotated.' : table(HEAD, page.items.map(row)),
  );
}

/** Starts a rotation; with `wait`, reports how far it has got until it is done. */
export async function rotate(
  { client, output }: Session,
  options: { readonly wait?: boolean },
): Promise<void> {
  const order = await custodyOrder(client, 'rotate-organisation-key', '');
  let rotation = await client.write('POST', '/v1/organisation/rotations', { order }, Rotation);
  while (options.wait === true && rotation.status === 'running') {
    await new Promise((wake) => setTimeout(wake, 500));
    rotation = await client.get(`/v1/organisation/rotations/${rotation.id}`, Rotation);
    output.note(`${rotation.done} of ${rotation.total} rewrapped`);
  }
  output.result(rotation, table(HEAD, [row(rotation)]));
}
