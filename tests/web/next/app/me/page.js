import { headers } from 'next/headers'
import { site } from '../../lib/auth.js'

export default async function Me({ searchParams }) {
  const query = new URLSearchParams(await searchParams)
  const user = await site.required(await headers(), query.size > 0 ? `/me?${query}` : '/me')
  return <p>{`${user.name} is here`}</p>
}
