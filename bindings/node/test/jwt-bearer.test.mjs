// JWT bearer grants (RFC 7523 section 2.1) as each provider's documentation requires them.
import assert from 'node:assert/strict'
import { generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'
import { core } from './helper.mjs'

const { Client, provider } = core
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const key = privateKey.export({ type: 'pkcs8', format: 'pem' })

/** The parts of a JWT bearer request: the header and the claims of the JWT, and the other parameters. */
function sentAssertion(preset, grantOptions, options) {
  const client = new Client(provider(preset, options), { clientId: 'id', clientSecret: 'secret' })
  const { body } = client.exchange.jwtBearerWithKey({ key, issuer: 'id', subject: 'somebody', ...grantOptions }).begin()
  const { assertion, ...form } = Object.fromEntries(new URLSearchParams(Buffer.from(body).toString()))
  const [header, payload, signature] = assertion.split('.')
  assert.ok(verify(`RSA-SHA${grantOptions.alg?.slice(2) ?? 256}`, Buffer.from(`${header}.${payload}`), publicKey, Buffer.from(signature, 'base64url')))
  const decodePart = (part) => JSON.parse(Buffer.from(part, 'base64url'))
  const { iat, exp, jti, ...claims } = decodePart(payload)
  assert.ok(Math.abs(iat - Date.now() / 1000) < 5)
  // Box wants 16 to 128 characters.
  assert.ok(jti.length >= 16 && jti.length <= 128)
  return { header: decodePart(header), claims, lifetime: exp - iat, form }
}

test('a JWT for Salesforce has the login host as audience and lasts three minutes', () => {
  const { header, claims, lifetime, form } = sentAssertion('salesforce', { scope: 'api' })
  assert.deepEqual(header, { alg: 'RS256', typ: 'JWT' })
  assert.deepEqual(claims, { iss: 'id', sub: 'somebody', aud: 'https://login.salesforce.com' })
  assert.equal(lifetime, 180)
  assert.equal(form.scope, 'api')
  const sandbox = sentAssertion('salesforce', {}, { variables: { host: 'test.salesforce.com' } })
  assert.equal(sandbox.claims.aud, 'https://test.salesforce.com')
})

test('a JWT for Box names its key and subject type and lasts 45 seconds', () => {
  for (const [type, alg] of [['enterprise', 'RS256'], ['user', 'RS512']]) {
    const { header, claims, lifetime, form } = sentAssertion('box', { alg, kid: 'k1', claims: { box_sub_type: type } })
    assert.deepEqual(header, { alg, kid: 'k1', typ: 'JWT' })
    assert.deepEqual(claims, { iss: 'id', sub: 'somebody', box_sub_type: type, aud: 'https://api.box.com/oauth2/token' })
    assert.equal(lifetime, 45)
    assert.deepEqual(Object.keys(form), ['grant_type', 'client_id', 'client_secret'])
  }
})

test('a JWT for Docusign has the bare host as audience and contains the scope', () => {
  for (const [preset, aud] of [['docusign', 'account.docusign.com'], ['docusign-demo', 'account-d.docusign.com']]) {
    for (const scope of [undefined, 'impersonation']) {
      const { header, claims, lifetime, form } = sentAssertion(preset, { scope })
      assert.deepEqual(header, { alg: 'RS256', typ: 'JWT' })
      assert.deepEqual(claims, { iss: 'id', sub: 'somebody', aud, scope: scope ?? 'signature impersonation' })
      assert.equal(lifetime, 300)
      assert.ok(!('scope' in form))
    }
  }
})

test('a request that the provider would refuse is not sent', () => {
  const { privateKey: other } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const claims = { box_sub_type: 'user' }
  for (const [preset, grantOptions, code, about] of [
    ['box', { claims }, 'assertion.claim', 'kid'],
    ['box', { kid: 'k1' }, 'assertion.claim', 'box_sub_type'],
    ['box', { kid: 'k1', claims: { box_sub_type: 'app' } }, 'assertion.claim', 'enterprise, user'],
    ['docusign', { key: other.export({ type: 'pkcs8', format: 'pem' }) }, 'key.algorithm', 'ES256'],
  ]) {
    const isExpected = (error) => error.code === code && error.message.includes(about)
    assert.throws(() => sentAssertion(preset, grantOptions), isExpected)
  }
})

test('explicit arguments override the values of the preset', () => {
  const { claims, lifetime } = sentAssertion('docusign', { lifetime: 3600, audienceClaim: 'account-s.docusign.com', claims: { scope: 'spring_read' } })
  assert.deepEqual([claims.aud, claims.scope, lifetime], ['account-s.docusign.com', 'spring_read', 3600])
})
