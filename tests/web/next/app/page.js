import Link from 'next/link'

export default function Home() {
  return (
    <p>
      <Link href="/me">Who am I?</Link> <Link href="/auth/logout">Sign out</Link>
    </p>
  )
}
