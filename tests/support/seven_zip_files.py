"""Archives that 7-Zip 26.02 wrote: `a.pkl`, which is harmless, and `b.pkl`, which is hostile and inert."""

from base64 import b85decode

_METHODS = {
    "copy": (
        "H+sCUCma9-sBDl^x&QzG00000AOHXW00000m8~g-fCODAO94v(O94v(O94v(O94v(O94v(O94v(O94v(O94v(O94v(O94v(WiEgO"
        "T_{TdO94v(O94v(O94v(O94v(O94v(O94v(O94v(O94v(O94v(O95prfC6K0a|&~Lb97~G3Mh;ObaHiNbW$z=0D&_Ht}&fHR1w_f"
        "e(M<4ZS&vEoWZd}aE!Fqm!w}$9Gjp%N{Bd=o@hX!Ez2?_#ZGqDtU0o@5V8}6K;k-z3)m~LGyoR{a{&oQ00#>J00AQd0RaVF01yBG"
        "3|0yOV1b+)000"
    ),
    "lzma": (
        "H+sCUCma9-E6sqRb^rhX00000AOHXW00000jD_aC06+l;MQ&GdIg9Hi_$^-yW|jhq6sP<8+VzH9)x4AX%Tsx|0n_L#=l}o!finlL"
        "574Ftyq`ZuL0H!Q0%|47Y;4#V`1=UNFNUd8oNUZYE(Ydl4LzZYGcH{=0hyU;v<YE(*sjFB%Z{DF+<4LhxfMfw=YSUmDgg;h00#>J"
        "00AQd0RaVF01yBG3|0yOaKFL=000"
    ),
    "lzma2": (
        "H+sCUCma9--(M@yd;kCd00000AOHXW00000ZyK%m-~e&}DO~_S0S85HS8+Lu>n8XuUkqlJ0*Vx;`}*4ThFsOWllse3dAR}8=q%^}"
        "0001iGY75@(GT{xppc+<Ud2EdoKS$MSYaW-@R=~k(|s4eof3#zZ(S}E;5J@}ob??d!@F^90ND2c`#pe3IKWDim`5Z_czzZD7X~o_"
        "2}=M63jqKDBLe{e1zi9T000bD3IWAlvgZH*"
    ),
    "deflate": (
        "H+sCUCma9-@g%8tegFUf00000AOHXW00000Qsw$emCB(F03Zwmz(A@xNmUoY;ZdZLkkCiq7=WQ!0dn>>6-nWZ>F18MJNt52V>yH|"
        "4OuS$0D&_Ht`E^JJFuXTpmIahS*WYa>R#sr#6XF=VpEzg-yxc`yIz6GLGxM%6*<h<MA}I*z6$(v>)dV(MHoEg@qL3YC87Z#-~bl}"
        "GXV)p00#>J00AQd0RaVF01yBG3|0yOq1-*y000"
    ),
    "bzip2": (
        "H+sCUCma9-OP(bxn*aa+00000AOHXW00000G%QLwLRx4!F+o`-Q(4AMGJXI6IM={55CA~{2oM4a0-hj11Rww*B}b?YH>zQwKm!0e"
        "0U1*7Q{Tr@f<cBjBR$?RKXU0i%6b=aML1B9#!WJQ004nA2d)p&!EgOQz>v=6%Xaoqq-%EITym5hRiMrBw?Ungvu~@g&XNyNyi3fj"
        "Rhi}9Y~@8G?wrm1PjH31J1%@Mc0e!8J0JiT22cSBO8^H80RRCb0|5aAT>uaO01Q?N0nEBH1^@s"
    ),
    "x86 lzma": (
        "H+sCUCma9-vK4|ufdBvi00000AOHXW00000rT=yg06+l;MQ&GdIg9Hi_$^-yW|jhq6sP<8+VzH9)x4AX%Tsx|0n_L#=l}o!finlL"
        "574Ftyq`G`oP@D)^z5?$z0EFsXSbXsXHDx)yK+O_^XSxnuG1~VlBmOXDi{~KY_ryFIV7bzz875{e+r0YzRa-s9{4S+g%p;6izn7H"
        "02c--0SQ+C2MYlJ0V4we0R>$E5C8xSW(omyC||t*00"
    ),
    "x86 lzma2": (
        "H+sCUCma9-J)^g%g8%>k00000AOHXW00000!Fx}E-~e&}DO~_S0S85HS8+Lu>n8XuUkqlJ0*Vx;`}*4ThFsOWllse3dAR}8=q%^}"
        "0001iGY75@(GT{xpo(d*x@f1T5y>Ci2yHT@u(^vl(@G%pDzKT4f2wrCAfHHFuk3obE^?}D!0dZD$WgYgWb(5LgJaB48tO3*nyIjQ"
        "^8f%B1~CB%QUC`F0RRCb0|5aAT>uaO01Rdd0lbe0g8%>"
    ),
    "delta lzma": (
        "H+sCUCma9-sif`_hyVZp00000AOHXW00000zmtmC06+l;MRHnxm8K<$9cQYN56HEuK#bPmD@u&R<YZbkt>(>%bSItCNc04gWzkJU"
        "KmY)NGY75@(GT{xpo(d*(C^2{^fFkMuA@$W$cu;+Qf@hvxe8HVMRqCK9B2~uAgv4%&6HOOXha22#`4&w_gF9&jE8%lmK`Z2?29$D"
        "<v(}A;;Y~Q7X~o_30D9I3jqKDBLe{e1zi9T000bT3IX3#a8v*Q"
    ),
    "apart": (
        "H+sCUCma9-L64R|egFUf00000AOHXW00000gghOt06+l;MQ&GdIg9Hi_$ZW%3;+N?0Eh#;FugS1FJ30lY4b!yZshA!j!+M0<bVJG"
        "0D&_Ht}&T+C)u3Cy3;3UUHKe5Sj-*6F7Ui!4VT=>mv%6q&<EdNYyn{b!E2By&w@pw)OhcJXueK3T*$!$gkP*)NiLxiT5*qPWB?Zi"
        "F98Wp00#>J00AQd0RaVF01yBG3}y-eO2v#k000"
    ),
    "plain header": (
        "H+sCUCma9-W&+}jF#rGn00000RsaA100000#a^=K-~e&}DO~_S0S85HS8+Lu>n8XuUkqlJ0*Vx;`}*4ThFsOWllse3dAR}8=q%^}"
        "009IB009Xx00#>J00AK(0RRkh00<2N30w*RGM9TIy3>z;000F783X_T000pg0AT<w0B`_n0BisN0Ac_x0B`_n0BisN02K-W03d**"
        "fgpgSfdBv"
    ),
    "ppmd": (
        "H+sCUCma9-ed;)fa{vGU00000AOHXW00000Y$NW20DpwTuI>G8GMSeJq2@2yC#zVJ)AXOeZ})F@gc1QFhZ^Pj=>Px#finlL5723S"
        "yq`ZuL0tCLATl*22`c!h0*Z7Hs=75WHHWu3{6pE#Sxa1jwH?V_S+Xgiok&bsL%iz-d?OjxYsOdBk<^9zeD(kr1||UsO#lZA0RRCb"
        "0|5aAT>uaO01Q?N0a2lTqyPW"
    ),
    "bcj2": (
        "H+sCUCma9-{=Dn)rT_o{00000ApigX00000kuJ)e003Y@hdWrr&v<JAWpJSdg9M8Tf>jjfq0CE`tri*PJEfGz`uR&phRI9bO9}jO"
        "I5wdThjpa7-~a#s000000001iGY771!W6D&t2z7cg@g5)${;Y?)69bvzpbBp_6h>r0?W55HeU?a3(mRr9ej@|Eq=Qle&L~{i7VO5"
        "X=cH^PNoxB0I7%y6lwL#?2{O752AYj)%d!;k7Z_`7)ks!lmHh7K>-P600#>J00AQd0RaVF01yBG41k6T0qf4C`2YX"
    ),
    "encrypted": (
        "H+sCUCma9-3#wjVrvLx|00000AOHXW00000he5A4O+%V`$1n#<0E^u^i}AnZ-QEomgs3pc+?jOyuf5!PrA{0d+A6@J7>#rH00}hK"
        "q}^`nR$Kb?Bo9Cn#zz$;004nA2d)p%^85WjyOd-*Iiz~$Y9mG%fR|)wN#Vt=w->baPcs$c!P^Wft`|@!WL&LYyxsJt=(AgQoWKjg"
        "a_F%r&1w>&fykA1WZ_Bh+Co(J>Tf@Dwt){k5_LiKp<NSB6i5IU20#G`X8;Ea0RRCb0|5aAT>uaO01S2t0s2%+2mk;"
    ),
    "encrypted header": (
        "H+sCUCma9-M|YXiumAu600000I{*Lx00000?q`0<cJiw`wDO~ftf9=6Obvp?k&wVfT><W^|8mJ@I*%1)3#dj#6Fzb9vWxl_b3dD4"
        "y`fj<pz)HqWO6lJ%a`drCIMke3fch&4k`3Egv-8rpO(m%ViY(idw8OROk<xzJD*O3dV>JzCXrocA&{M06rce3f%JEY96-3_5sok^"
        "ZESZG-Xt;?KO@^UD$tL&{sZ6dhn=U7pm2YiH~v2{ncH{i;SygkupWGlQAd!`7Y0B932*=h3jqKEBnI&Z0TNRWx3`z<o+NbTI#V;_"
        "f!~AHBLe{e1zi9T000313}|)=0UG<QzW@L"
    ),
}
WRITTEN = {name: b85decode(text) for name, text in _METHODS.items()}
