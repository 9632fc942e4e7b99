// Aggregated and distributed claims: distinguished from each other, but neither fetched nor verified.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core } from './helper.mjs'

const { claimsSources } = core

test('aggregated and distributed claims are returned with their sources', () => {
  // The example of OpenID Connect Core section 5.6.2.
  const [first, second, third] = claimsSources({
    sub: 'jane',
    _claim_names: { address: 'src1', phone_number: 'src1', credit_score: 'src2' },
    _claim_sources: {
      src1: { JWT: 'jwt_header.jwt_part2.jwt_part3' },
      src2: { endpoint: 'https://creditagency.example.com/claims', access_token: 'ksj3n283dke' },
      src3: { endpoint: 'https://bank.example.com/claims' },
    },
  })
  assert.deepEqual([first.name, [...first.claims].sort()], ['src1', ['address', 'phone_number']])
  assert.deepEqual([first.jwt, first.endpoint, first.accessToken], ['jwt_header.jwt_part2.jwt_part3', undefined, undefined])
  assert.deepEqual([second.jwt, second.claims], [undefined, ['credit_score']])
  assert.deepEqual([second.endpoint, second.accessToken], ['https://creditagency.example.com/claims', 'ksj3n283dke'])
  assert.deepEqual([third.claims, third.accessToken], [[], undefined])
  for (const shown of [inspect([first, second], { depth: 5 }), JSON.stringify([first, second])]) {
    assert(!shown.includes('ksj3n283dke') && !shown.includes('jwt_part2') && shown.includes('credit_score'), shown)
  }
  assert.deepEqual(claimsSources({ sub: 'jane' }), [])
})

test('inconsistent claim names and sources are rejected', () => {
  for (const claims of [
    { _claim_names: { address: 'src1' } },
    { _claim_names: { address: 'src9' }, _claim_sources: { src1: { JWT: 'a.b.c' } } },
    { _claim_names: {}, _claim_sources: { src1: { JWT: 'a.b.c', endpoint: 'https://x' } } },
    { _claim_names: 'address', _claim_sources: {} },
  ]) assert.throws(() => claimsSources(claims), { code: 'jwt.malformed_claim' }, JSON.stringify(claims))
  for (const none of [undefined, null, 7, 'a']) assert.throws(() => claimsSources(none), TypeError)
})
