/** Every method with its implementation. */
import type { CustodyMethod } from '@astis/protocol';
import { CUSTODY_METHODS } from '@astis/protocol';
import { lastCheckpoint } from '../checkpoints/last.ts';
import { signCheckpoint } from '../checkpoints/sign.ts';
import { certifyEnrolment } from '../enrolment/certify.ts';
import { challengeEnrolment } from '../enrolment/challenge.ts';
import { revokeKey } from '../enrolment/revoke.ts';
import { createHolding } from '../holding/create.ts';
import { destroyHolding } from '../holding/destroy.ts';
import { retireOrganisation } from '../organisation/retire.ts';
import { rotateOrganisation } from '../organisation/rotate.ts';
import { recover } from '../recovery/recover.ts';
import { rewrap } from '../rewrap/rewrap.ts';
import { createTenant } from '../tenants/create.ts';
import { tenantKeys } from '../tenants/keys.ts';
import type { Handler } from './handler.ts';

export const HANDLERS: { readonly [M in CustodyMethod]: Handler<M> } = {
  'tenant.create': createTenant,
  'tenant.keys': tenantKeys,
  'enrolment.challenge': challengeEnrolment,
  'enrolment.certify': certifyEnrolment,
  'holding.create': createHolding,
  'holding.destroy': destroyHolding,
  'key.revoke': revokeKey,
  rewrap,
  recover,
  'organisation.rotate': rotateOrganisation,
  'organisation.retire': retireOrganisation,
  'checkpoint.sign': signCheckpoint,
  'checkpoint.last': lastCheckpoint,
};

export const isCustodyMethod = (name: string): name is CustodyMethod => Object.hasOwn(CUSTODY_METHODS, name);
