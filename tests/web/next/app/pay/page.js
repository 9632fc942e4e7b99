import { headers } from 'next/headers'
import { site } from '../../lib/auth.js'

export default async function Pay() {
  const user = await site.required(await headers(), '/pay', { acr: ['mfa'] })
  return <p>{`by ${user.acr}`}</p>
}
