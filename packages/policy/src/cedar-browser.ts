/** Cedar outside of Node: the module is fetched and compiled while this one loads (`#cedar` in package.json). */
import init from '@cedar-policy/cedar-wasm/web';

await init();

export {
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  statefulIsAuthorized,
  validate,
} from '@cedar-policy/cedar-wasm/web';
