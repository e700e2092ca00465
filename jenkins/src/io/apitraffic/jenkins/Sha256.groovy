package io.apitraffic.jenkins

import com.cloudbees.groovy.cps.NonCPS

/** SHA-256 (FIPS 180-4), which the sandbox has no class for. */
class Sha256 implements Serializable {

    private static final long serialVersionUID = 1

    private static final List<Long> K = [
        0x428a2f98L, 0x71374491L, 0xb5c0fbcfL, 0xe9b5dba5L, 0x3956c25bL, 0x59f111f1L, 0x923f82a4L, 0xab1c5ed5L,
        0xd807aa98L, 0x12835b01L, 0x243185beL, 0x550c7dc3L, 0x72be5d74L, 0x80deb1feL, 0x9bdc06a7L, 0xc19bf174L,
        0xe49b69c1L, 0xefbe4786L, 0x0fc19dc6L, 0x240ca1ccL, 0x2de92c6fL, 0x4a7484aaL, 0x5cb0a9dcL, 0x76f988daL,
        0x983e5152L, 0xa831c66dL, 0xb00327c8L, 0xbf597fc7L, 0xc6e00bf3L, 0xd5a79147L, 0x06ca6351L, 0x14292967L,
        0x27b70a85L, 0x2e1b2138L, 0x4d2c6dfcL, 0x53380d13L, 0x650a7354L, 0x766a0abbL, 0x81c2c92eL, 0x92722c85L,
        0xa2bfe8a1L, 0xa81a664bL, 0xc24b8b70L, 0xc76c51a3L, 0xd192e819L, 0xd6990624L, 0xf40e3585L, 0x106aa070L,
        0x19a4c116L, 0x1e376c08L, 0x2748774cL, 0x34b0bcb5L, 0x391c0cb3L, 0x4ed8aa4aL, 0x5b9cca4fL, 0x682e6ff3L,
        0x748f82eeL, 0x78a5636fL, 0x84c87814L, 0x8cc70208L, 0x90befffaL, 0xa4506cebL, 0xbef9a3f7L, 0xc67178f2L,
    ]
    private static final List<Long> START = [
        0x6a09e667L, 0xbb67ae85L, 0x3c6ef372L, 0xa54ff53aL, 0x510e527fL, 0x9b05688cL, 0x1f83d9abL, 0x5be0cd19L,
    ]
    private static final long WORD = 0xffffffffL

    @NonCPS
    static String hex(byte[] message) {
        List<Long> octets = padded(message)
        List<Long> state = new ArrayList<Long>(START)
        for (int block = 0; block < octets.size(); block += 64) {
            state = compressed(state, schedule(octets, block))
        }
        String digits = ''
        for (long word in state) {
            digits += String.format('%08x', word)
        }
        return digits
    }

    @NonCPS
    private static List<Long> padded(byte[] message) {
        List<Long> octets = []
        for (byte octet in message) {
            octets.add((octet & 0xff) as long)
        }
        octets.add(0x80L)
        while (octets.size() % 64 != 56) {
            octets.add(0L)
        }
        long bits = message.length * 8L
        for (int shift = 56; shift >= 0; shift -= 8) {
            octets.add((bits >> shift) & 0xffL)
        }
        return octets
    }

    @NonCPS
    private static List<Long> schedule(List<Long> octets, int block) {
        List<Long> w = []
        for (int i = 0; i < 16; i++) {
            int at = block + i * 4
            w.add((octets[at] << 24) | (octets[at + 1] << 16) | (octets[at + 2] << 8) | octets[at + 3])
        }
        for (int i = 16; i < 64; i++) {
            long s0 = rotated(w[i - 15], 7) ^ rotated(w[i - 15], 18) ^ (w[i - 15] >> 3)
            long s1 = rotated(w[i - 2], 17) ^ rotated(w[i - 2], 19) ^ (w[i - 2] >> 10)
            w.add((w[i - 16] + s0 + w[i - 7] + s1) & WORD)
        }
        return w
    }

    @NonCPS
    private static List<Long> compressed(List<Long> state, List<Long> w) {
        List<Long> v = new ArrayList<Long>(state)
        for (int i = 0; i < 64; i++) {
            long s1 = rotated(v[4], 6) ^ rotated(v[4], 11) ^ rotated(v[4], 25)
            long choice = (v[4] & v[5]) ^ ((v[4] ^ WORD) & v[6])
            long first = v[7] + s1 + choice + K[i] + w[i]
            long s0 = rotated(v[0], 2) ^ rotated(v[0], 13) ^ rotated(v[0], 22)
            long majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])
            v = [(first + s0 + majority) & WORD, v[0], v[1], v[2], (v[3] + first) & WORD, v[4], v[5], v[6]]
        }
        List<Long> sums = []
        for (int i = 0; i < 8; i++) {
            sums.add((state[i] + v[i]) & WORD)
        }
        return sums
    }

    @NonCPS
    private static long rotated(long word, int places) {
        return ((word >> places) | (word << (32 - places))) & WORD
    }

}
