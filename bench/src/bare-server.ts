/** The peer: a bare Fastify route that inserts one row into PostgreSQL over the same TLS, and nothing else. */
import { readFileSync } from 'node:fs';
import fastify from 'fastify';
import pg from 'pg';

const [port = '', cert = '', key = '', connection = ''] = process.argv.slice(2);
const pool = new pg.Pool({ ...JSON.parse(readFileSync(connection, 'utf8')), max: 20 });
await pool.query('create table if not exists bare_rows (id bigserial primary key, body text not null)');
const app = fastify({ https: { cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' } });
app.post('/v1/releases', async (request) => {
  await pool.query({
    name: 'insert',
    text: 'insert into bare_rows (body) values ($1)',
    values: [JSON.stringify(request.body)],
  });
  return { ok: true };
});
await app.listen({ host: '127.0.0.1', port: Number(port) });
process.stdout.write('"msg":"listening"\n');
process.on('SIGTERM', () => void app.close().then(() => pool.end()));
