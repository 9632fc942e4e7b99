// The standard claims about a user, and their types.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { core } from './helper.mjs'

const { Address, Client, Server, Tokens, userClaims } = core
const issuer = 'https://as.example'

/** The record of these claims, fetched. */
function ofUserinfo(claims) {
  const server = Server.fromMetadata(issuer, { issuer, userinfo_endpoint: `${issuer}/me` })
  const client = new Client(server, { clientId: 'id', clientSecret: 's' })
  const exchange = client.exchange.userinfo({ tokens: Tokens.bearer('t0ken'), subject: 'ann' })
  exchange.begin()
  const headers = [['content-type', 'application/json']]
  return exchange.reply({ status: 200, headers, body: Buffer.from(JSON.stringify(claims)) }).value
}

// The examples of OpenID Connect Core sections 5.1.1 and 5.3.2.
const claims = {
  sub: 'ann', name: 'Jane Doe', birthdate: '0000-10-31', email_verified: true, phone_number_verified: false,
  updated_at: 1311280970, 'name#ja': '太郎',
  address: {
    street_address: '1234 Hollywood Blvd.', locality: 'Los Angeles', region: 'CA', postal_code: '90210', country: 'US', planet: 'Earth',
  },
}

for (const [name, read] of [['UserInfo', ofUserinfo], ['an ID token', userClaims]]) {
  test(`standard claims are returned with their types: ${name}`, () => {
    const user = read(claims)
    assert.deepEqual([user.subject, user.name, user.birthdate, user.nickname], ['ann', 'Jane Doe', '0000-10-31', undefined])
    assert.deepEqual([user.emailVerified, user.phoneNumberVerified], [true, false])
    assert.deepEqual(user.updatedAt, new Date(1311280970000))
    assert.deepEqual(user.claims, claims)
    const { address } = user
    assert(address instanceof Address && Object.isFrozen(address))
    assert.deepEqual({ ...address }, {
      formatted: undefined, streetAddress: '1234 Hollywood Blvd.', locality: 'Los Angeles', region: 'CA', postalCode: '90210', country: 'US',
    })
    assert.equal(JSON.parse(JSON.stringify(user)).address.postalCode, '90210')
    for (const shown of [inspect(user, { depth: 5 }), inspect(address)]) assert(!shown.includes('90210') && shown.includes('[personal]'), shown)
  })

  test(`a standard claim of the wrong type is undefined: ${name}`, () => {
    for (const [claim, member, value] of [
      ['email_verified', 'emailVerified', 'false'],
      ['phone_number_verified', 'phoneNumberVerified', 1],
      ['updated_at', 'updatedAt', 'yesterday'],
      ['birthdate', 'birthdate', 19700101],
      ['address', 'address', 'Berlin'],
      ['address', 'address', ['Berlin']],
    ]) {
      const user = read({ sub: 'ann', [claim]: value })
      assert.equal(user[member], undefined)
      assert.deepEqual(user.claims[claim], value)
    }
    const { address } = read({ sub: 'ann', address: { postal_code: 90210, region: 'CA' } })
    assert.deepEqual([address.postalCode, address.region], [undefined, 'CA'])
  })
}

test('claims without a subject are rejected', () => {
  assert.throws(() => userClaims({}), { code: 'jwt.missing_claim' })
  assert.throws(() => userClaims({ sub: 7 }), { code: 'jwt.malformed_claim' })
  for (const none of [undefined, null, 7, 'a']) assert.throws(() => userClaims(none), TypeError)
})
