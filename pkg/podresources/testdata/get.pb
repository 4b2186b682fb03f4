
¬
apptenant×
first
kaloom.com/nicnic2

kaloom.com/nicnic10
kaloom.com/otherba¬"
memory€€€€€ *fclaimtenant"8

kaloom.com/nic=vf0nic.kaloom.compool"vf0*share"nic.kaloom.compool"vf1?
second
kaloom.com/nicnic1*"nic.kaloom.compool"vf0"