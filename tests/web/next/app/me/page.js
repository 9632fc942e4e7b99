import { headers } from 'next/headers'
import { site } from '../../lib/auth.js'

export default async function Me() {
  const user = await site.required(await headers(), '/me')
  return <p>{`${user.name} is here`}</p>
}
