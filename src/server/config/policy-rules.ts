import { backoffFields, type PolicyOptions, policyFields, resolvePolicy } from '../../client/policy.ts'
import type { PolicyRule } from '../../engine/options.ts'
import { isMillraceError } from '../../model/errors.ts'
import { type Kind, Mistake, record, show } from './kinds.ts'

/** The list `policies` of millrace.yaml: what queues get that are created without a policy of their own. */
export const policyRules: Kind<readonly PolicyRule[]> = {
  what: 'a list of rules, each with match and what queues of such a name do with their messages',
  placeholder: '…',
  read: (value) =>
    Array.isArray(value) ? value.map((rule, index) => readRule(rule, `[${index}]`)) : undefined,
}

function readRule(value: unknown, at: string): PolicyRule {
  const { match, ...policy } = record(value, at, ['match', ...policyFields])
  if (typeof match !== 'string' || match === '')
    throw new Mistake(`${at}.match is a name or a pattern such as orders.* or '#', not ${show(match)}`)
  if (policy['backoff'] !== undefined) record(policy['backoff'], `${at}.backoff`, backoffFields)
  if (typeof policy['deduplication'] === 'object')
    record(policy['deduplication'], `${at}.deduplication`, ['window', 'count'])
  try {
    return { match, policy: resolvePolicy(policy as PolicyOptions) }
  } catch (error) {
    if (isMillraceError(error)) throw new Mistake(`${at} of ${match}: ${error.message}`)
    throw error
  }
}
