/** Makes a database with its two roles: the owner, who migrates, and the service, who may only use it. */
import pg from 'pg';
import type { Connection } from './embedded/server.ts';

export interface ProvisionedDatabase {
  readonly owner: Connection;
  readonly service: Connection;
}

export interface DatabasePlan {
  readonly database: string;
  /** Fixed by the migrations, which grant to it: `astis_gateway` or `astis_custody`. */
  readonly serviceRole: 'astis_gateway' | 'astis_custody';
  readonly ownerPassword: string;
  readonly servicePassword: string;
}

/** Idempotent. Needs a superuser (or a role that may create roles and databases). */
export async function provision(superuser: Connection, plan: DatabasePlan): Promise<ProvisionedDatabase> {
  const { database, serviceRole, ownerPassword, servicePassword } = plan;
  const ownerRole = `${serviceRole}_owner`;
  const client = new pg.Client(superuser);
  await client.connect();
  const exists = async (sql: string, name: string) => (await client.query(sql, [name])).rows.length > 0;
  try {
    for (const [role, password] of [
      [ownerRole, ownerPassword],
      [serviceRole, servicePassword],
    ] as const) {
      const verb = (await exists('select 1 from pg_roles where rolname = $1', role)) ? 'alter' : 'create';
      const name = client.escapeIdentifier(role);
      await client.query(`${verb} role ${name} login nobypassrls password ${client.escapeLiteral(password)}`);
    }
    if (!(await exists('select 1 from pg_database where datname = $1', database))) {
      const name = client.escapeIdentifier(database);
      await client.query(
        `create database ${name} owner ${client.escapeIdentifier(ownerRole)} template template0`,
      );
      await client.query(`revoke all on database ${name} from public`);
      await client.query(`grant connect on database ${name} to ${client.escapeIdentifier(serviceRole)}`);
    }
  } finally {
    await client.end();
  }
  return {
    owner: { ...superuser, database, user: ownerRole, password: ownerPassword },
    service: { ...superuser, database, user: serviceRole, password: servicePassword },
  };
}
